// SPDX-License-Identifier: Apache-2.0
// O_DIRECT pipes keep packets apart
#include "check.h"

int main(void) {
    int p[2];
    char b[32];
    CHECK(pipe2(p, O_DIRECT) == 0);
    CHECK(write(p[1], "one", 3) == 3 && write(p[1], "three", 5) == 5);
    CHECK(read(p[0], b, 32) == 3 && read(p[0], b, 2) == 2 && write(p[1], "x", 1) == 1 && read(p[0], b, 32) == 1);
    say("packets\n");
    return 0;
}
