// SPDX-License-Identifier: Apache-2.0
// rdtsc a thousand times
#include "check.h"

int main(void) {
    unsigned long sum = 0, last = 0;
    for (int i = 0; i < 1000; i++) { unsigned long t = __builtin_ia32_rdtsc(); CHECK(t >= last); sum += t - last; last = t; }
    say("%lu\n", sum);
    return 0;
}
