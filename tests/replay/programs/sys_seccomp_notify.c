// SPDX-License-Identifier: Apache-2.0
// a filter that asks another process
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
int main() {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {4, f};
    int sv[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    pid_t c = fork();
    if (!c) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &p);
        char cb[CMSG_SPACE(4)];
        struct iovec io = {"x", 1};
        struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb};
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(4);
        memcpy(CMSG_DATA(h), &n, 4);
        sendmsg(sv[1], &m, 0);
        printf("child got %ld\n", syscall(SYS_getppid));
        fflush(stdout);
        _exit(0);
    }
    char cb[CMSG_SPACE(4)];
    char x;
    struct iovec io = {&x, 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb};
    recvmsg(sv[0], &m, 0);
    int n;
    memcpy(&n, CMSG_DATA(CMSG_FIRSTHDR(&m)), 4);
    struct seccomp_notif r = {0};
    ioctl(n, SECCOMP_IOCTL_NOTIF_RECV, &r);
    printf("nr %d\n", r.data.nr);
    fflush(stdout);
    struct seccomp_notif_resp q = {.id = r.id, .val = 1234};
    ioctl(n, SECCOMP_IOCTL_NOTIF_SEND, &q);
    wait(0);
    return 0;
}
