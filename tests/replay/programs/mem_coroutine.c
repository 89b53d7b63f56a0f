// SPDX-License-Identifier: Apache-2.0
// coroutines with swapcontext
#include "check.h"

static ucontext_t m, c;
static char st[65536];
static void f() {
    for (int i = 0; i < 3; i++) {
        printf("co %d\n", i);
        swapcontext(&c, &m);
    }
}
int main() {
    getcontext(&c);
    c.uc_stack.ss_sp = st;
    c.uc_stack.ss_size = sizeof st;
    c.uc_link = &m;
    makecontext(&c, f, 0);
    for (int i = 0; i < 4; i++) {
        swapcontext(&m, &c);
        printf("main %d\n", i);
    }
    return 0;
}
