// SPDX-License-Identifier: Apache-2.0
// siglongjmp out of a handler, with the mask
#include "check.h"

static sigjmp_buf b;
static void on(int n) { siglongjmp(b, n); }
int main(void) {
    volatile int rounds = 0;
    signal(SIGUSR1, on);
    if (sigsetjmp(b, 1)) rounds++;
    if (rounds < 3) raise(SIGUSR1);
    sigset_t s;
    sigprocmask(SIG_BLOCK, NULL, &s);
    CHECK(!sigismember(&s, SIGUSR1));
    say("%d rounds\n", rounds);
    return 0;
}
