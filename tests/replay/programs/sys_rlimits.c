// SPDX-License-Identifier: Apache-2.0
// getrlimit of all, prlimit of a child
#include "check.h"

int main(void) {
    struct rlimit l;
    for (int i = 0; i < RLIMIT_NLIMITS; i++) { CHECK(getrlimit(i, &l) == 0); say("%d %lu %lu\n", i, (long)l.rlim_cur, (long)l.rlim_max); }
    pid_t pid = fork();
    if (!pid) { pause(); _exit(0); }
    struct rlimit n = {64, 64}, o;
    CHECK(prlimit(pid, RLIMIT_NOFILE, &n, &o) == 0 && prlimit(pid, RLIMIT_NOFILE, NULL, &o) == 0 && o.rlim_cur == 64);
    kill(pid, SIGKILL), run_child(pid);
    return 0;
}
