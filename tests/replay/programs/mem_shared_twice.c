// SPDX-License-Identifier: Apache-2.0
// one file mapped twice
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(f, 8192);
    char *a = mmap(0, 8192, 3, MAP_SHARED, f, 0), *b = mmap(0, 4096, 3, MAP_SHARED, f, 4096);
    a[4096] = 'q';
    printf("%c\n", b[0]);
    b[1] = 'z';
    msync(b, 4096, MS_SYNC);
    char c[3] = {0};
    pread(f, c, 2, 4096);
    puts(c);
    pwrite(f, "W", 1, 4097);
    printf("%c\n", a[4097]);
    return 0;
}
