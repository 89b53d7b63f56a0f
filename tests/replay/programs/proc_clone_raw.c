// SPDX-License-Identifier: Apache-2.0
// clone with a stack of its own
#include "check.h"

static int f(void *a) {
    *(int *)a = 9;
    return 4;
}
int main() {
    static char st[65536];
    int v = 0;
    pid_t c = clone(f, st + 65536, CLONE_VM | SIGCHLD, &v);
    int s;
    waitpid(c, &s, 0);
    printf("%d %d\n", v, WEXITSTATUS(s));
    c = clone(f, st + 65536, SIGCHLD, &v);
    v = 1;
    waitpid(c, &s, 0);
    printf("%d\n", v);
    c = clone(f, st + 65536, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, &v);
    waitpid(c, &s, 0);
    printf("%d\n", v);
    c = clone(f, st + 65536, CLONE_VM | CLONE_VFORK, &v);
    printf("%d %d\n", waitpid(c, &s, __WCLONE) == c, WEXITSTATUS(s));
    return 0;
}
