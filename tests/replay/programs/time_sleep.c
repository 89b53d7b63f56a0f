// SPDX-License-Identifier: Apache-2.0
// nanosleep, clock_nanosleep relative and absolute, usleep, select as a sleep
#include "check.h"

int main(void) {
    struct timespec t = {0, 3000000}, a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    CHECK(nanosleep(&t, NULL) == 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
    clock_gettime(CLOCK_REALTIME, &b);
    b.tv_nsec += 2000000;
    if (b.tv_nsec >= 1000000000) b.tv_sec++, b.tv_nsec -= 1000000000;
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &b, NULL) == 0 && usleep(1000) == 0);
    CHECK(select(0, 0, 0, 0, &(struct timeval){0, 1000}) == 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    CHECK(ms >= 9);
    say("%ld ms\n", ms);
    return 0;
}
