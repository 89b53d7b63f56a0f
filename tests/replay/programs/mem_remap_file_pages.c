// SPDX-License-Identifier: Apache-2.0
// another part of a file in a mapping
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(f, 16384);
    char *p = mmap(0, 16384, 3, MAP_SHARED, f, 0);
    for (int i = 0; i < 4; i++) p[i * 4096] = 'a' + i;
    int r = syscall(216, p, 4096, 0, 3, 0);
    printf("%d %c\n", r, p[0]);
    return 0;
}
