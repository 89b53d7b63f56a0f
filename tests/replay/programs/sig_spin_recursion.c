// SPDX-License-Identifier: Apache-2.0
// an alarm in a recursion
#include "check.h"

static volatile int st;
static void h(int s) { st = 1; }
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
int main() {
    signal(SIGALRM, h);
    ualarm(60000, 0);
    long t = 0;
    while (!st) t += fib(18);
    printf("%ld\n", t);
    return 0;
}
