// SPDX-License-Identifier: Apache-2.0
// CPUID leaves
#include "check.h"

int main(void) {
    for (unsigned leaf = 0; leaf < 8; leaf++) {
        unsigned a, b, c, d;
        __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(0));
        say("%u: %x %x %x\n", leaf, a, leaf == 1 ? b & 0xffff : b, d);
    }
    return 0;
}
