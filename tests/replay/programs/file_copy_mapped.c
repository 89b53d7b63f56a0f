// SPDX-License-Identifier: Apache-2.0
// bytes that the kernel copies into a mapped file
#include "check.h"

int main() {
    int a = open("a", O_RDWR | O_CREAT, 0600), b = open("b", O_RDWR | O_CREAT, 0600);
    write(a, "source data here", 16);
    ftruncate(b, 4096);
    char *p = mmap(0, 4096, 3, MAP_SHARED, b, 0);
    off64_t x = 0, y = 10;
    printf("%zd %s\n", copy_file_range(a, &x, b, &y, 16, 0), p + 10);
    lseek(a, 0, 0);
    lseek(b, 100, 0);
    printf("%zd %s\n", sendfile(b, a, 0, 6), p + 100);
    return 0;
}
