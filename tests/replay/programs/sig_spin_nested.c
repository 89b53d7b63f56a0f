// SPDX-License-Identifier: Apache-2.0
// handlers that wait without calls for the next signal
#include "check.h"

static volatile int depth;
static volatile unsigned long w;
static void h(int s) {
    if (depth < 3) {
        depth++;
        ualarm(10000, 0);
        sigset_t m;
        sigemptyset(&m);
        sigaddset(&m, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &m, 0);
        int d = depth;
        while (depth == d && d < 3) w++;
    }
}
int main() {
    signal(SIGALRM, h);
    ualarm(10000, 0);
    while (depth < 3) w++;
    printf("%d %lu\n", depth, w);
    return 0;
}
