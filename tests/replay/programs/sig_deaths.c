// SPDX-License-Identifier: Apache-2.0
// a child dies by each signal that kills
#include "check.h"

int main(void) {
    for (int n = 1; n < 32; n++) {
        if (n == SIGCHLD || n == SIGCONT || n == SIGSTOP || n == SIGTSTP || n == SIGTTIN || n == SIGTTOU || n == SIGURG || n == SIGWINCH) continue;
        pid_t pid = fork();
        if (!pid) { signal(n, SIG_DFL); struct rlimit l = {0, 0}; setrlimit(RLIMIT_CORE, &l); kill(getpid(), n); pause(); _exit(99); }
        int s = run_child(pid);
        CHECK(WIFSIGNALED(s) && WTERMSIG(s) == n);
        say("%d ", n);
    }
    say("\n");
    return 0;
}
