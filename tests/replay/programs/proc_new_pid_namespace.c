// SPDX-License-Identifier: Apache-2.0
// a namespace of process ids
#include "check.h"

static int f(void *a) {
    printf("pid %d ppid %d\n", getpid(), getppid());
    fflush(stdout);
    if (!fork()) {
        printf("sub %d\n", getpid());
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 5;
}
int main() {
    static char st[65536];
    pid_t c = clone(f, st + 65536, CLONE_NEWPID | CLONE_NEWUSER | SIGCHLD, 0);
    if (c < 0) {
        printf("%d\n", errno);
        return 0;
    }
    int s;
    waitpid(c, &s, 0);
    printf("%x\n", s);
    return 0;
}
