// SPDX-License-Identifier: Apache-2.0
// fork: pids, return values, separate memory
#include "check.h"

int main(void) {
    int shared = 1;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) { shared = 2; say("child %d of %d\n", getpid(), getppid()); _exit(shared); }
    int s = run_child(pid);
    CHECK(WIFEXITED(s) && WEXITSTATUS(s) == 2 && shared == 1);
    say("parent %d had %d\n", getpid(), pid);
    return 0;
}
