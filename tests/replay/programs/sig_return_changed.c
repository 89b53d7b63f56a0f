// SPDX-License-Identifier: Apache-2.0
// a handler that changes registers
#include "check.h"

static void h(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    u->uc_mcontext.gregs[REG_RBX] = 77;
    u->uc_mcontext.fpregs->_xmm[3].element[0] = 1234;
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &a, 0);
    long pid = getpid(), r, x;
    asm volatile("mov $1,%%rbx\n movq %%rbx,%%xmm3\n mov %2,%%rdi\n mov $10,%%rsi\n mov $62,%%rax\n "
                 "syscall\n mov %%rbx,%0\n movq %%xmm3,%1"
                 : "=r"(r), "=r"(x)
                 : "r"(pid)
                 : "rbx", "rdi", "rsi", "rax", "rcx", "r11", "xmm3");
    printf("%ld %ld\n", r, x);
    return 0;
}
