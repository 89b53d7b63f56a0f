// SPDX-License-Identifier: Apache-2.0
// a handler changes the context it returns to
#include "check.h"

static void on(int n, siginfo_t *i, void *c) { (void)n, (void)i; ucontext_t *u = c; u->uc_mcontext.gregs[REG_RIP] += 2; u->uc_mcontext.gregs[REG_RAX] = 77; }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    long r = 1;
    CHECK(sigaction(SIGILL, &a, NULL) == 0);
    __asm__ volatile("ud2" : "+a"(r));
    CHECK(r == 77);
    say("%ld\n", r);
    return 0;
}
