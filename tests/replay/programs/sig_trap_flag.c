// SPDX-License-Identifier: Apache-2.0
// single steps by the program's own trap flag
#include "check.h"

static volatile int n;
static void h(int s, siginfo_t *i, void *c) { n++; }
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &a, 0);
    asm volatile(
        "pushfq\n orq $0x100,(%%rsp)\n popfq\n nop\n nop\n nop\n pushfq\n andq $~0x100,(%%rsp)\n popfq\n" ::
            : "memory", "cc");
    printf("%d\n", n);
    return 0;
}
