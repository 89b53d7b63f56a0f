// SPDX-License-Identifier: Apache-2.0
// code changed through /proc/self/mem
#include "check.h"

int seven(void) { return 7; }
int main() {
    int f = open("/proc/self/mem", O_RDWR);
    unsigned char c[] = {0xb8, 9, 0, 0, 0, 0xc3};
    printf("%d\n", seven());
    pwrite(f, c, 6, (long)seven);
    int (*volatile g)(void) = seven;
    printf("%d\n", g());
    return 0;
}
