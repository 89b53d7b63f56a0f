// SPDX-License-Identifier: Apache-2.0
// holes in files
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    pwrite(f, "x", 1, 1 << 20);
    pwrite(f, "y", 1, 3 << 20);
    printf("%ld %ld %ld\n", lseek(f, 0, SEEK_DATA), lseek(f, 1 << 20, SEEK_HOLE),
           lseek(f, 2 << 20, SEEK_DATA));
    fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 4096);
    printf("%ld\n", lseek(f, 0, SEEK_DATA));
    return 0;
}
