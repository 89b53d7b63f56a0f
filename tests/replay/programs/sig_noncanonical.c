// SPDX-License-Identifier: Apache-2.0
// addresses that cannot be
// expect: signal 7
#include "check.h"

static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    printf("%d %d %p\n", s, i->si_code, i->si_addr);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    sigaction(SIGBUS, &a, 0);
    if (!sigsetjmp(j, 1)) *(volatile int *)0x8000000000000000ul = 1;
    if (!sigsetjmp(j, 1)) ((void (*)(void))0x1234)();
    if (!sigsetjmp(j, 1)) { asm volatile("pushfq\n orl $0x40000,(%%rsp)\n popfq" ::: "cc", "memory"); }
    return 0;
}
