// SPDX-License-Identifier: Apache-2.0
// a hole punched into a mapped file
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(f, 16384);
    char *p = mmap(0, 16384, 3, MAP_SHARED, f, 0);
    memset(p, 7, 16384);
    printf("%d\n", fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    printf("%d %d\n", p[5000], p[0]);
    fallocate(f, FALLOC_FL_ZERO_RANGE, 0, 4096);
    printf("%d\n", p[0]);
    return 0;
}
