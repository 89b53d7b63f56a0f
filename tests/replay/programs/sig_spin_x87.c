// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that counts in x87 registers
#include "check.h"

static volatile int st;
static void h(int s) { st = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(20000, 0);
    long double x = 0;
    while (!st) x += 1;
    printf("%d %Lf\n", x > 0, x);
    return 0;
}
