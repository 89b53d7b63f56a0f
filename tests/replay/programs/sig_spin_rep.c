// SPDX-License-Identifier: Apache-2.0
// an alarm in instructions that repeat
// flags: -O1
#include "check.h"

volatile int stop;
static char buf[1 << 20];
void h(int s) { stop = 1; }
int main() {
    signal(SIGALRM, h);
    ualarm(30000, 0);
    unsigned long n = 0;
    while (!stop) {
        void *d = buf;
        long c = sizeof buf;
        asm volatile("rep stosb" : "+D"(d), "+c"(c) : "a"((int)n) : "memory");
        n++;
    }
    printf("%lu\n", n);
    return 0;
}
