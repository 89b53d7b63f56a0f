// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop of two short instructions, whose counter the handler reads
// flags: -O2
// expect: exit 7
#include "check.h"

static unsigned long v;
void h(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    printf("%llu\n", (unsigned long long)u->uc_mcontext.gregs[REG_RAX]);
    fflush(stdout);
    _exit(7);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &a, 0);
    ualarm(50000, 0);
    asm volatile("xor %%rax,%%rax\n1: inc %%rax\n jmp 1b" ::: "rax");
}
