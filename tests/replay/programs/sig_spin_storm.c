// SPDX-License-Identifier: Apache-2.0
// twenty alarms in a loop that makes no calls
#include "check.h"

volatile int ticks;
void h(int s) { ticks++; }
int main() {
    signal(SIGALRM, h);
    struct itimerval t = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &t, 0);
    unsigned long n = 0;
    while (ticks < 20) n++;
    t = (struct itimerval){0};
    setitimer(ITIMER_REAL, &t, 0);
    printf("%lu %d\n", n, ticks);
    return 0;
}
