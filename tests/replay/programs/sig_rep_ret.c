// SPDX-License-Identifier: Apache-2.0
// An alarm in a loop whose function returns by `rep ret`, which only looks like a repeated instruction.
#include "check.h"

static volatile sig_atomic_t rung;

static void ring(int signal) {
    (void)signal;
    rung = 1;
}

__attribute__((naked, noinline)) static unsigned long next(unsigned long value) {
    (void)value;
    __asm__("lea 1(%rdi,%rdi,2), %rax\n\trep\n\tret");
}

int main(void) {
    unsigned long value = 1, turns = 0;
    signal(SIGALRM, ring);
    ualarm(100000, 0);
    while (!rung) {
        value = next(value);
        turns++;
    }
    say("%lu %lu\n", turns, value);
    return 0;
}
