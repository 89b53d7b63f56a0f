// SPDX-License-Identifier: Apache-2.0
// a timer that ticks while primes are counted
#include "check.h"

volatile int tick;
void h(int s) { tick++; }
int main() {
    signal(SIGALRM, h);
    struct itimerval t = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &t, 0);
    long s = 0;
    for (int r = 0; r < 300; r++) {
        static char c[100000];
        memset(c, 0, sizeof c);
        for (int i = 2; i < 100000; i++)
            if (!c[i])
                for (long j = (long)i * i; j < 100000; j += i) c[j] = 1;
        for (int i = 2; i < 100000; i++) s += !c[i];
    }
    printf("%ld %d\n", s, tick > 0);
    return 0;
}
