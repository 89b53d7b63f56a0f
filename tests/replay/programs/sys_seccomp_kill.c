// SPDX-License-Identifier: Apache-2.0
// a filter that kills
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
int main() {
    pid_t c = fork();
    if (!c) {
        struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog p = {4, f};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
        syscall(SYS_getppid);
        puts("no");
        _exit(1);
    }
    int s;
    waitpid(c, &s, 0);
    printf("%d\n", WTERMSIG(s));
    return 0;
}
