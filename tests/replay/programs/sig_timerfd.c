// SPDX-License-Identifier: Apache-2.0
// timerfd: relative, absolute, interval
#include "check.h"

int main(void) {
    uint64_t n;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec s = {{0, 2000000}, {0, 5000000}}, g;
    CHECK(timerfd_settime(fd, 0, &s, NULL) == 0 && read(fd, &n, 8) == 8 && n >= 1);
    usleep(15000);
    CHECK(read(fd, &n, 8) == 8 && n >= 2 && timerfd_gettime(fd, &g) == 0);
    say("%lu expirations, left %ld\n", (long)n, g.it_value.tv_nsec);
    return 0;
}
