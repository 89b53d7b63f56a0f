// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that counts in a vector register
// flags: -O2
#include "check.h"

volatile int stop;
void h(int s) { stop = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(50000, 0);
    double n = 0;
    while (!stop) n += 0.5;
    printf("%f\n", n);
    return 0;
}
