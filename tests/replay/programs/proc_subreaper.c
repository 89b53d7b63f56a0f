// SPDX-License-Identifier: Apache-2.0
// PR_SET_CHILD_SUBREAPER makes orphans ours
#include "check.h"

int main(void) {
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t pid = fork();
    if (!pid) { if (!fork()) { usleep(10000); _exit(21); } _exit(0); }
    run_child(pid);
    int s;
    CHECK(wait(&s) > 0 && WEXITSTATUS(s) == 21);
    say("reaped the orphan\n");
    return 0;
}
