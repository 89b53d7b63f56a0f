// SPDX-License-Identifier: Apache-2.0
// vfork: the parent waits, memory is shared
#include "check.h"

int main(void) {
    volatile int value = 1;
    pid_t pid = vfork();
    if (!pid) { value = 7; _exit(5); }
    int s = run_child(pid);
    CHECK(value == 7 && WEXITSTATUS(s) == 5);
    say("vfork %d\n", value);
    return 0;
}
