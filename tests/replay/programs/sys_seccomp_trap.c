// SPDX-License-Identifier: Apache-2.0
// a filter that traps one call and fails another
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
static void h(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    char b[99];
    snprintf(b, 99, "sys %d nr %d code %d\n", s, i->si_syscall, i->si_code);
    write(1, b, strlen(b));
    u->uc_mcontext.gregs[REG_RAX] = 4242;
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &a, 0);
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 7),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {6, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int r = prctl(PR_SET_SECCOMP, 2, &p);
    printf("install %d\n", r);
    fflush(stdout);
    printf("ppid %ld\n", syscall(SYS_getppid));
    long u = syscall(SYS_getuid);
    printf("uid %ld %d\n", u, errno);
    return 0;
}
