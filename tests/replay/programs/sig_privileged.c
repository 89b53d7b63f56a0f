// SPDX-License-Identifier: Apache-2.0
// instructions that only the kernel may use
#include "check.h"

static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    printf("%d %d\n", s, i->si_code);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    sigaction(SIGILL, &a, 0);
    if (!sigsetjmp(j, 1)) asm volatile("hlt");
    if (!sigsetjmp(j, 1)) asm volatile("cli");
    if (!sigsetjmp(j, 1)) asm volatile("int $0x40");
    if (!sigsetjmp(j, 1)) asm volatile("mov %%cr0,%%rax" ::: "rax");
    return 0;
}
