// SPDX-License-Identifier: Apache-2.0
// the heap's end up and down
#include "check.h"

int main() {
    char *a = sbrk(0);
    sbrk(100000);
    a[50000] = 7;
    printf("%d\n", a[50000]);
    sbrk(-50000);
    sbrk(50000);
    printf("%d\n", a[99999]);
    char *b = sbrk(0);
    brk(b + 4096 * 100);
    b[4096 * 99] = 3;
    printf("%ld\n", (long)((char *)sbrk(0) - b));
    return 0;
}
