// SPDX-License-Identifier: Apache-2.0
// one process serves three clients with epoll over TCP
#include "check.h"

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t l = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = epoll_create1(0), closed = 0;
    CHECK(bind(s, (void *)&a, l) == 0 && listen(s, 8) == 0 && getsockname(s, (void *)&a, &l) == 0);
    for (int i = 0; i < 3; i++) if (!fork()) {
        char b[16];
        int c = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(c, (void *)&a, l) == 0);
        for (int k = 0; k < 20; k++) { int n = sprintf(b, "%d.%d", i, k); CHECK(write(c, b, n) == n && read(c, b, 16) == n); }
        _exit(0);
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = s}, got[8];
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, s, &ev) == 0);
    while (closed < 3) {
        int n = epoll_wait(e, got, 8, -1);
        for (int i = 0; i < n; i++) {
            if (got[i].data.fd == s) { int c = accept(s, 0, 0); if (c >= 0) { ev.data.fd = c; CHECK(epoll_ctl(e, EPOLL_CTL_ADD, c, &ev) == 0); } continue; }
            char b[64];
            int r = read(got[i].data.fd, b, 64);
            if (r <= 0) { close(got[i].data.fd); closed++; } else { say("%.*s ", r, b); CHECK(write(got[i].data.fd, b, r) == r); }
        }
    }
    while (wait(0) > 0) {}
    say("\n");
    return 0;
}
