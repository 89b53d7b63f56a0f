// SPDX-License-Identifier: Apache-2.0
// brk grows and shrinks; malloc of many sizes
#include "check.h"

int main(void) {
    char *a = sbrk(0);
    CHECK(sbrk(1 << 20) == a);
    a[(1 << 20) - 1] = 1;
    CHECK(sbrk(-(1 << 19)) == a + (1 << 20) && sbrk(0) == a + (1 << 19));
    void *p[200];
    unsigned x = 7;
    for (int i = 0; i < 200; i++) { p[i] = malloc((x = x * 1664525 + 1013904223) >> 14); CHECK(p[i]); if (i % 3 == 0) { free(p[i]); p[i] = NULL; } }
    for (int i = 0; i < 200; i++) free(p[i]);
    say("%p\n", sbrk(0));
    return 0;
}
