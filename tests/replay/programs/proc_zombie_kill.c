// SPDX-License-Identifier: Apache-2.0
// kill of a zombie, of nobody, with signal 0
#include "check.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) _exit(0);
    siginfo_t i;
    CHECK(waitid(P_PID, pid, &i, WEXITED | WNOWAIT) == 0);
    CHECK(kill(pid, 0) == 0 && kill(pid, SIGKILL) == 0);
    CHECK(run_child(pid) == 0 && kill(pid, 0) == -1 && errno == ESRCH);
    say("zombie %d\n", pid);
    return 0;
}
