// SPDX-License-Identifier: Apache-2.0
// faults that a handler steps over
#include "check.h"

static void h(int s, siginfo_t *i, void *c) {
    char b[100];
    snprintf(b, 100, "%d code %d addr %d\n", s, i->si_code, i->si_addr == 0);
    write(1, b, strlen(b));
    ucontext_t *u = c;
    if (s == SIGFPE) u->uc_mcontext.gregs[REG_RIP] += 2;
    if (s == SIGILL) u->uc_mcontext.gregs[REG_RIP] += 2;
    if (s == SIGSEGV) u->uc_mcontext.gregs[REG_RIP] += 2;
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &a, 0);
    sigaction(SIGILL, &a, 0);
    sigaction(SIGSEGV, &a, 0);
    sigaction(SIGTRAP, &a, 0);
    asm volatile("xor %%ecx,%%ecx\nxor %%edx,%%edx\n mov $1,%%eax\n idiv %%ecx" ::: "rax", "rcx", "rdx");
    asm volatile("ud2");
    asm volatile("xor %%eax,%%eax\n mov (%%rax),%%ecx" ::: "rax", "rcx");
    asm volatile("int3");
    puts("end");
    return 0;
}
