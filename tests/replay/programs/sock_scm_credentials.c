// SPDX-License-Identifier: Apache-2.0
// credentials passed over a socket
#include "check.h"

int main(void) {
    int s[2], on = 1;
    char b[1], space[CMSG_SPACE(sizeof(struct ucred))] = "";
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(send(s[0], "x", 1, 0) == 1);
    struct iovec v = {b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    CHECK(recvmsg(s[1], &m, 0) == 1);
    struct ucred u;
    memcpy(&u, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof u);
    CHECK(u.pid == getpid());
    say("pid %d uid %d gid %d\n", u.pid, u.uid, u.gid);
    return 0;
}
