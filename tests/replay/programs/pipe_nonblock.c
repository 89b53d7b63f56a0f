// SPDX-License-Identifier: Apache-2.0
// EAGAIN when full and when empty
#include "check.h"

int main(void) {
    int p[2];
    char b[4096] = "";
    long n = 0;
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    CHECK(read(p[0], b, 1) == -1 && errno == EAGAIN);
    while (write(p[1], b, sizeof b) > 0) n += sizeof b;
    CHECK(errno == EAGAIN);
    int left;
    CHECK(ioctl(p[0], FIONREAD, &left) == 0 && left == n);
    say("%ld bytes fit\n", n);
    return 0;
}
