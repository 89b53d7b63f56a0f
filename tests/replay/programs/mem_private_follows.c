// SPDX-License-Identifier: Apache-2.0
// a private mapping shows what is written to the file, until it is written itself
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    write(f, "aaaaaaaaaa", 10);
    char *p = mmap(0, 4096, 3, MAP_PRIVATE, f, 0);
    pwrite(f, "bbb", 3, 0);
    printf("%.10s\n", p);
    p[0] = 'X';
    pwrite(f, "ccc", 3, 0);
    printf("%.10s\n", p);
    char b[11] = {0};
    pread(f, b, 10, 0);
    puts(b);
    return 0;
}
