// SPDX-License-Identifier: Apache-2.0
// clone3 with flags
#include "check.h"

struct ca {
    unsigned long flags, pidfd, ctid, ptid, sig, stack, ssz, tls, set, setsz, cg;
};
int main() {
    int pfd = -1, pt = 0;
    struct ca a = {CLONE_PIDFD | CLONE_PARENT_SETTID, (long)&pfd, 0, (long)&pt, SIGCHLD};
    long r = syscall(435, &a, sizeof a);
    if (!r) _exit(5);
    int s;
    waitpid(r, &s, 0);
    printf("%d %d %x\n", pfd >= 0, pt == r, s);
    struct ca b = {0x100000000ul, 0, 0, 0, SIGCHLD};
    r = syscall(435, &b, sizeof b);
    if (!r) _exit(6);
    if (r > 0) {
        waitpid(r, &s, 0);
        printf("%x\n", s);
    }
    printf("%ld %d\n", syscall(435, &a, 8), errno);
    return 0;
}
