// SPDX-License-Identifier: Apache-2.0
// a signal to a whole process group
#include "check.h"

int main(void) {
    pid_t first = 0;
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (!pid) { setpgid(0, first); for (;;) pause(); }
        if (!first) first = pid;
        setpgid(pid, first);
    }
    CHECK(kill(-first, SIGTERM) == 0);
    int s, n = 0;
    while (waitpid(-first, &s, 0) > 0) { CHECK(WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM); n++; }
    CHECK(n == 3);
    say("group %d\n", first);
    return 0;
}
