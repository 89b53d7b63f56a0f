// SPDX-License-Identifier: Apache-2.0
// a child with a controlling terminal, interrupted from it
#include "check.h"

int main(void) {
    int m;
    pid_t pid = forkpty(&m, NULL, NULL, NULL);
    if (pid < 0) { say("no pty: %d\n", errno); return 0; }
    if (!pid) { CHECK(write(1, "ready\n", 6) == 6); for (;;) pause(); }
    char b[64];
    CHECK(read(m, b, 64) > 0 && write(m, "\x03", 1) == 1);
    int s = run_child(pid);
    CHECK(WIFSIGNALED(s) && WTERMSIG(s) == SIGINT);
    say("interrupted\n");
    return 0;
}
