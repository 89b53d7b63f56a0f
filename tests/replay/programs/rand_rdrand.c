// SPDX-License-Identifier: Apache-2.0
// rdrand, when the processor has it
#include "check.h"

int main(void) {
    unsigned a, b, c, d;
    unsigned long v = 0;
    unsigned char ok = 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    if (c >> 30 & 1) __asm__ volatile("rdrand %0; setc %1" : "=r"(v), "=qm"(ok));
    CHECK(!(c >> 30 & 1) || ok);
    say("rdrand %s\n", ok ? "works" : "absent");
    return 0;
}
