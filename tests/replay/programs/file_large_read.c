// SPDX-License-Identifier: Apache-2.0
// four megabytes written, read back in odd pieces
#include "check.h"

int main(void) {
    static char b[1 << 20], c[77777];
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    unsigned x = 1, sum = 0, again = 0;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 1 << 20; i++) b[i] = x = x * 1664525 + 1013904223, sum += (unsigned char)b[i] * (i + k);
        CHECK(write(fd, b, sizeof b) == sizeof b);
    }
    lseek(fd, 0, SEEK_SET);
    long at = 0;
    for (ssize_t n; (n = read(fd, c, sizeof c)) > 0;) for (ssize_t i = 0; i < n; i++, at++) again += (unsigned char)c[i] * ((at & 0xfffff) + (at >> 20));
    CHECK(sum == again && at == 4 << 20);
    say("%08x\n", sum);
    return 0;
}
