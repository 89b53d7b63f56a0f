// SPDX-License-Identifier: Apache-2.0
// two processes take turns through shared memory and sched_yield
#include "check.h"

int main(void) {
    volatile int *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    int me = pid != 0;
    for (int i = 0; i < 50; i++) { while (*m % 2 != me) sched_yield(); if (i % 10 == 0) say("%d at %d\n", me, *m); __atomic_add_fetch((int *)m, 1, __ATOMIC_SEQ_CST); }
    if (!pid) _exit(0);
    CHECK(run_child(pid) == 0 && *m == 100);
    return 0;
}
