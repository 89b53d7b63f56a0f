// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that counts on the stack
// flags: -O0
#include "check.h"

volatile sig_atomic_t stop;
void h(int s) { stop = 1; }
int main() {
    signal(SIGALRM, h);
    alarm(1);
    unsigned long n = 0;
    while (!stop) n++;
    printf("%lu\n", n);
    return 0;
}
