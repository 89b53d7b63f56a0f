// SPDX-License-Identifier: Apache-2.0
// clone3 by syscall, or ENOSYS
#include "check.h"

struct clone_args { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };
int main(void) {
    struct clone_args a = {.exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &a, sizeof a);
    if (pid < 0) { say("no clone3: %d\n", errno); return 0; }
    if (!pid) { say("child\n"); _exit(9); }
    CHECK(WEXITSTATUS(run_child(pid)) == 9);
    return 0;
}
