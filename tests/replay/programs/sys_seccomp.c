// SPDX-License-Identifier: Apache-2.0
// a filter of one's own: an error for one call
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
int main(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {4, f};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) { say("no seccomp: %d\n", errno); return 0; }
    errno = 0;
    CHECK(getpriority(PRIO_PROCESS, 0) == -1 && errno == 77);
    say("filtered\n");
    return 0;
}
