// SPDX-License-Identifier: Apache-2.0
// a terabyte of reserved addresses
#include "check.h"

int main() {
    char *p = mmap(0, 1ul << 40, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        printf("%d\n", errno);
        return 0;
    }
    for (int i = 0; i < 10; i++) p[(unsigned long)i << 36] = i;
    printf("%d\n", p[9ul << 36]);
    munmap(p, 1ul << 40);
    return 0;
}
