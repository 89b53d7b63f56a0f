// SPDX-License-Identifier: Apache-2.0
// descriptors passed over a socket
#include "check.h"

int main(void) {
    int s[2];
    char b[32] = "", space[CMSG_SPACE(sizeof(int))] = "";
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    pid_t pid = fork();
    struct iovec v = {b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (!pid) {
        file_with("f", "passed on");
        int fd = open("f", O_RDONLY);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        CHECK(sendmsg(s[0], &m, 0) == 1);
        _exit(0);
    }
    CHECK(recvmsg(s[1], &m, 0) == 1 && run_child(pid) == 0);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    CHECK(read(fd, b, 32) == 9);
    say("fd %d: %s\n", fd, b);
    return 0;
}
