// SPDX-License-Identifier: Apache-2.0
// a thread made with clone
#include "check.h"

static volatile int done;
static int tidw = 1;
static int f(void *a) {
    done = 1;
    syscall(SYS_exit, 0);
    return 0;
}
int main() {
    char *st = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int ptid = 0;
    int t = clone(f, st + 65536,
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                  0, &ptid, 0, &tidw);
    while (tidw) syscall(SYS_futex, &tidw, FUTEX_WAIT, 1, 0, 0, 0);
    printf("%d %d\n", done, ptid == t);
    return 0;
}
