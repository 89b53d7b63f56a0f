// SPDX-License-Identifier: Apache-2.0
// a core dump is told by wait, limited to nothing
#include "check.h"

int main(void) {
    struct rlimit l = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &l) == 0);
    pid_t pid = fork();
    if (!pid) abort();
    int s = run_child(pid);
    CHECK(WIFSIGNALED(s) && WTERMSIG(s) == SIGABRT);
    say("core %d\n", !!WCOREDUMP(s));
    return 0;
}
