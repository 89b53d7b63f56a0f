// SPDX-License-Identifier: Apache-2.0
// a chain of children, each forking the next
#include "check.h"

int main(void) {
    int depth = 0, s;
    pid_t pid;
    while (depth < 12 && !(pid = fork())) depth++;
    if (depth < 12) { CHECK(waitpid(pid, &s, 0) == pid); CHECK(WEXITSTATUS(s) == depth + 1); }
    say("depth %d pid %d\n", depth, getpid());
    _exit(depth);
    return 0;
}
