// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that reads the counter
#include "check.h"

#include <x86intrin.h>
static volatile int st;
static void h(int s) { st = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(20000, 0);
    long n = 0;
    while (!st) {
        n++;
        __rdtsc();
    }
    printf("%ld\n", n);
    return 0;
}
