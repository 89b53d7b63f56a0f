// SPDX-License-Identifier: Apache-2.0
// twenty children, reaped in the order in which they end
#include "check.h"

int main(void) {
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) { say("child %d\n", i); _exit(i); }
    }
    int sum = 0, s;
    for (pid_t pid; (pid = wait(&s)) > 0;) { sum += WEXITSTATUS(s); say("reaped %d: %d\n", pid, WEXITSTATUS(s)); }
    CHECK(errno == ECHILD && sum == 190);
    return 0;
}
