// SPDX-License-Identifier: Apache-2.0
// two processes count in a shared anonymous mapping
#include "check.h"

int main(void) {
    int *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    pid_t pid = fork();
    for (int i = 0; i < 1000; i++) __atomic_add_fetch(m, 1, __ATOMIC_SEQ_CST);
    if (!pid) _exit(0);
    CHECK(run_child(pid) == 0 && *m == 2000);
    say("%d\n", *m);
    return 0;
}
