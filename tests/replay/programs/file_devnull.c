// SPDX-License-Identifier: Apache-2.0
// /dev/null, /dev/zero, /dev/full
#include "check.h"

int main(void) {
    char b[16] = "x";
    int n = open("/dev/null", O_RDWR), z = open("/dev/zero", O_RDONLY), f = open("/dev/full", O_WRONLY);
    CHECK(read(n, b, 16) == 0 && write(n, b, 16) == 16);
    CHECK(read(z, b, 16) == 16 && !b[0] && !b[15]);
    CHECK(write(f, b, 1) == -1 && errno == ENOSPC);
    say("devices\n");
    return 0;
}
