// SPDX-License-Identifier: Apache-2.0
// two timers in a loop that makes no calls
#include "check.h"

volatile int a, b;
void h(int s) {
    if (s == SIGALRM) a++;
    else b++;
}
int main() {
    signal(SIGALRM, h);
    signal(SIGVTALRM, h);
    struct itimerval t = {{0, 7000}, {0, 7000}}, u = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &t, 0);
    setitimer(ITIMER_VIRTUAL, &u, 0);
    unsigned long n = 0;
    while (a < 4 || b < 4) n++;
    printf("%d %d %lu\n", a, b, n);
    return 0;
}
