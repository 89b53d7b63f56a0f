// SPDX-License-Identifier: Apache-2.0
// gettimeofday, time, clock_gettime through the vDSO, never backwards
#include "check.h"

int main(void) {
    struct timeval v;
    struct timespec t, u = {0, 0};
    for (int i = 0; i < 2000; i++) { clock_gettime(CLOCK_MONOTONIC, &t); CHECK(t.tv_sec > u.tv_sec || (t.tv_sec == u.tv_sec && t.tv_nsec >= u.tv_nsec)); u = t; }
    gettimeofday(&v, NULL);
    time_t n = time(NULL);
    CHECK(n - v.tv_sec <= 1 && n >= v.tv_sec - 1);
    say("%ld.%06ld %ld %ld.%09ld\n", (long)v.tv_sec, (long)v.tv_usec, (long)n, (long)t.tv_sec, t.tv_nsec);
    return 0;
}
