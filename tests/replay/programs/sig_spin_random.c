// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop whose state goes up and down
// flags: -O2
#include "check.h"

volatile int stop;
void h(int s) { stop = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(50000, 0);
    unsigned long n = 1;
    while (!stop) n = n * 6364136223846793005ul + 1442695040888963407ul;
    printf("%lu\n", n);
    return 0;
}
