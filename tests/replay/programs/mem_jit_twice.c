// SPDX-License-Identifier: Apache-2.0
// code written through one mapping and run in another
#include "check.h"

int main() {
    int f = memfd_create("j", 0);
    ftruncate(f, 4096);
    char *w = mmap(0, 4096, 3, MAP_SHARED, f, 0);
    int (*x)(int) = mmap(0, 4096, 5, MAP_SHARED, f, 0);
    unsigned char c[] = {0x8d, 0x47, 1, 0xc3};
    memcpy(w, c, 4);
    printf("%d\n", x(5));
    w[2] = 9;
    printf("%d\n", x(5));
    return 0;
}
