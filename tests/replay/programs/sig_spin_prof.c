// SPDX-License-Identifier: Apache-2.0
// a profiling timer in a loop that makes no calls
#include "check.h"

volatile int ticks;
void h(int s) { ticks++; }
int main() {
    signal(SIGPROF, h);
    struct itimerval t = {{0, 10000}, {0, 10000}};
    setitimer(ITIMER_PROF, &t, 0);
    unsigned long n = 0;
    while (ticks < 5) n++;
    printf("%lu %d\n", n, ticks);
    return 0;
}
