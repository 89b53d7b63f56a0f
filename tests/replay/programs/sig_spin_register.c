// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that counts in a register
// flags: -O2
#include "check.h"

volatile int stop;
void h(int s) { stop = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(50000, 0);
    unsigned long n = 0;
    while (!stop) n++;
    printf("%lu\n", n);
    return 0;
}
