// SPDX-License-Identifier: Apache-2.0
// descriptors that another process gets
#include "check.h"

int main() {
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    if (!fork()) {
        int f[3] = {open("/dev/null", 0), 1, 2};
        char c[CMSG_SPACE(12)];
        struct iovec v = {"x", 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        *h = (struct cmsghdr){CMSG_LEN(12), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(h), f, 12);
        sendmsg(s[0], &m, 0);
        _exit(0);
    }
    char x, c[CMSG_SPACE(12)];
    struct iovec v = {&x, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    recvmsg(s[1], &m, MSG_CMSG_CLOEXEC);
    int f[3];
    memcpy(f, CMSG_DATA(CMSG_FIRSTHDR(&m)), 12);
    dprintf(f[1], "through passed stdout\n");
    dprintf(f[2], "err\n");
    wait(0);
    return 0;
}
