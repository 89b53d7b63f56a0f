// SPDX-License-Identifier: Apache-2.0
// rdtsc and rdtscp
#include "check.h"

int main(void) {
    unsigned aux, lo, hi;
    unsigned long a, b;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    a = (unsigned long)hi << 32 | lo;
    __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
    b = (unsigned long)hi << 32 | lo;
    CHECK(b > a);
    say("%lu %lu %u\n", a, b, aux);
    return 0;
}
