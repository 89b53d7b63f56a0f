// SPDX-License-Identifier: Apache-2.0
// addresses that cannot be, and one that is not aligned while that is checked
#include "check.h"

static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    asm volatile("pushfq\n andl $~0x40000,(%%rsp)\n popfq" ::: "cc", "memory");
    printf("%d %d %p\n", s, i->si_code, s == SIGBUS ? NULL : i->si_addr);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    sigaction(SIGBUS, &a, 0);
    if (!sigsetjmp(j, 1)) *(volatile int *)0x8000000000000000ul = 1;
    if (!sigsetjmp(j, 1)) ((void (*)(void))0x1234)();
    if (!sigsetjmp(j, 1)) {
        static char bytes[16] __attribute__((aligned(16)));
        asm volatile("pushfq\n orl $0x40000,(%%rsp)\n popfq\n movl 1(%0),%%eax" ::"r"(bytes) : "eax", "cc", "memory");
    }
    return 0;
}
