// SPDX-License-Identifier: Apache-2.0
// setjmp, longjmp and ucontext switching
#include "check.h"

static ucontext_t a, b;
static char stack[65536];
static int n;
static void run(void) { for (int i = 0; i < 5; i++) { n += i; swapcontext(&b, &a); } }
int main(void) {
    jmp_buf j;
    volatile int rounds = 0;
    if (setjmp(j) < 5) longjmp(j, ++rounds);
    CHECK(rounds == 5 && getcontext(&b) == 0);
    b.uc_stack.ss_sp = stack, b.uc_stack.ss_size = sizeof stack, b.uc_link = &a;
    makecontext(&b, run, 0);
    for (int i = 0; i < 5; i++) swapcontext(&a, &b);
    CHECK(n == 10);
    say("contexts\n");
    return 0;
}
