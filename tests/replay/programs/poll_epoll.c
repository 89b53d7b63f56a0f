// SPDX-License-Identifier: Apache-2.0
// epoll: level, edge, oneshot, data, deletion
#include "check.h"

int main(void) {
    int p[2], e = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1122334455667788}, got[4];
    CHECK(pipe(p) == 0 && epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev) == 0);
    CHECK(epoll_wait(e, got, 4, 0) == 0 && write(p[1], "abc", 3) == 3);
    CHECK(epoll_wait(e, got, 4, -1) == 1 && got[0].data.u64 == 0x1122334455667788);
    CHECK(epoll_wait(e, got, 4, 0) == 0);
    ev.events = EPOLLIN | EPOLLONESHOT;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == 0 && epoll_pwait(e, got, 4, 10, NULL) == 1 && epoll_wait(e, got, 4, 0) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL) == 0 && epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL) == -1 && errno == ENOENT);
    say("epoll %d\n", e);
    return 0;
}
