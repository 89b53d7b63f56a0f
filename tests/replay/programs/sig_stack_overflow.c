// SPDX-License-Identifier: Apache-2.0
// an endless recursion that a handler leaves
#include "check.h"

static sigjmp_buf j;
static char st[65536];
static void h(int s) { siglongjmp(j, s); }
static int r(int n) {
    volatile char b[4096];
    b[0] = n;
    return r(n + 1) + b[0];
}
int main() {
    stack_t s = {.ss_sp = st, .ss_size = sizeof st};
    sigaltstack(&s, 0);
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &a, 0);
    int k = sigsetjmp(j, 1);
    if (!k) r(0);
    printf("caught %d\n", k);
    return 0;
}
