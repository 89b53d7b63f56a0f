// SPDX-License-Identifier: Apache-2.0
// madvise: DONTNEED empties, DONTFORK hides, others answer
#include "check.h"

int main(void) {
    char *m = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(m, 'x', 16384);
    CHECK(madvise(m, 4096, MADV_DONTNEED) == 0 && m[0] == 0 && m[4096] == 'x');
    CHECK(madvise(m, 16384, MADV_HUGEPAGE) == 0 || errno == EINVAL);
    CHECK(madvise(m + 4096, 4096, MADV_WIPEONFORK) == 0);
    pid_t pid = fork();
    if (!pid) { CHECK(m[4096] == 0 && m[8192] == 'x'); _exit(0); }
    CHECK(run_child(pid) == 0 && m[4096] == 'x');
    int r = madvise(m, 4096, MADV_FREE);
    say("%d\n", r);
    return 0;
}
