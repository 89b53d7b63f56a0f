// SPDX-License-Identifier: Apache-2.0
// a blocked signal during a computation
#include "check.h"

static volatile int g;
static void h(int s) { g = 1; }
int main() {
    signal(SIGALRM, h);
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGALRM);
    sigprocmask(SIG_BLOCK, &m, 0);
    ualarm(5000, 0);
    volatile long n = 0;
    for (long i = 0; i < 30000000; i++) n++;
    printf("%d\n", g);
    sigprocmask(SIG_UNBLOCK, &m, 0);
    printf("%d\n", g);
    return 0;
}
