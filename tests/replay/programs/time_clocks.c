// SPDX-License-Identifier: Apache-2.0
// clock_gettime and clock_getres of every clock
#include "check.h"

int main(void) {
    for (int c = 0; c < 12; c++) {
        struct timespec t = {0, 0}, r = {0, 0};
        int a = clock_gettime(c, &t), b = clock_getres(c, &r);
        say("%d: %d %ld.%09ld %d %ld\n", c, a, (long)t.tv_sec, t.tv_nsec, b, r.tv_nsec);
    }
    return 0;
}
