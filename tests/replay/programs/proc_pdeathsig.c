// SPDX-License-Identifier: Apache-2.0
// the parent's death sends a signal
#include "check.h"

int main(void) {
    int p[2];
    CHECK(pipe(p) == 0);
    pid_t pid = fork();
    if (!pid) {
        sigset_t s;
        sigemptyset(&s), sigaddset(&s, SIGUSR1), sigprocmask(SIG_BLOCK, &s, 0);
        int ready[2];
        CHECK(pipe(ready) == 0);
        if (!fork()) { prctl(PR_SET_PDEATHSIG, SIGUSR1); CHECK(write(ready[1], "r", 1) == 1); int n; sigwait(&s, &n); dprintf(p[1], "got %d", n); _exit(0); }
        char c;
        CHECK(read(ready[0], &c, 1) == 1);
        _exit(0);
    }
    run_child(pid);
    close(p[1]);
    char b[32] = "";
    CHECK(read(p[0], b, 31) > 0);
    say("%s\n", b);
    return 0;
}
