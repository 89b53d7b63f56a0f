// SPDX-License-Identifier: Apache-2.0
// /dev/urandom and /dev/random
#include "check.h"

int main(void) {
    unsigned char b[8];
    int u = open("/dev/urandom", O_RDONLY), r = open("/dev/random", O_RDONLY | O_NONBLOCK);
    CHECK(read(u, b, 8) == 8);
    for (int i = 0; i < 8; i++) say("%02x", b[i]);
    ssize_t n = read(r, b, 8);
    for (int i = 0; i < n; i++) say("%02x", b[i]);
    say("\n");
    return 0;
}
