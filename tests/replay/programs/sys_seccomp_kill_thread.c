// SPDX-License-Identifier: Apache-2.0
// a filter that kills one thread
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
static void *t(void *a) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {4, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
    syscall(SYS_getppid);
    puts("no");
    return 0;
}
int main() {
    pthread_t x;
    pthread_create(&x, 0, t, 0);
    usleep(30000);
    puts("main alive");
    return 0;
}
