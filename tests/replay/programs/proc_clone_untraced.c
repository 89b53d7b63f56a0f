// SPDX-License-Identifier: Apache-2.0
// CLONE_UNTRACED keeps a child from debuggers, not from being recorded; it shares memory with its parent.
#include "check.h"
static char stack[65536] __attribute__((aligned(16)));
static int child(void *word) {
    *(int *)word += getppid() > 0;
    say("child\n");
    return 3;
}
int main(void) {
    volatile int word = 5;
    pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED | SIGCHLD, (void *)&word);
    CHECK(pid > 0);
    CHECK(WEXITSTATUS(run_child(pid)) == 3);
    say("%d\n", word);
    return 0;
}
