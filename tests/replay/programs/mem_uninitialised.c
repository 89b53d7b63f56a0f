// SPDX-License-Identifier: Apache-2.0
// what a new stack and heap hold besides zeros
#include "check.h"

int main(void) {
    volatile unsigned char here[4096];
    unsigned long sum = 0;
    for (int i = 0; i < 4096; i++) sum = sum * 31 + here[i];
    unsigned char *h = malloc(5000);
    for (int i = 0; i < 5000; i++) sum = sum * 31 + h[i];
    say("%lx\n", sum);
    return 0;
}
