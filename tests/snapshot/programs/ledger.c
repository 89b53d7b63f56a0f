// SPDX-License-Identifier: Apache-2.0
// Two processes that keep an invariant over many pages and over both of them, in memory of their own and in shared memory.
//
// ledger: each step writes the step's number into the first word of all pages in an order of its own, first in the parent,
// then in the child, which takes turns with it over pipes. At any instant the numbers, read in that order, fall by at most one
// once: n n n n-1 n-1. A copy that is torn anywhere breaks this.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#define PAGES 96
#define STRIDE (4096 * 3)

static volatile uint64_t *slot(char *base, unsigned n) {
    return (volatile uint64_t *)(base + (size_t)(n * 37 % PAGES) * STRIDE);
}

static void turn(char *base, uint64_t step) {
    for (unsigned n = 0; n < PAGES; n++) *slot(base, n) = step;
}

int main(void) {
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) != 0 || pipe(back) != 0) return 1;
    char *base = mmap((void *)0x200000000000, PAGES * STRIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    char *shared = mmap((void *)0x210000000000, PAGES * STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    pid_t parent = getpid();
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) return 1;
        for (uint64_t step = 1; read(there[0], &byte, 1) == 1; step++) {
            turn(base, step);
            if (write(back[1], &byte, 1) != 1) return 1;
        }
        return 0;
    }
    puts("ready");
    fflush(stdout);
    for (uint64_t step = 1;; step++) {
        turn(base, step);
        turn(shared, step);
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) return 1;
    }
}
