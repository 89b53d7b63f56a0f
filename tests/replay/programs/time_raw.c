// SPDX-License-Identifier: Apache-2.0
// the same clocks by raw system calls
#include "check.h"

int main(void) {
    struct timespec t;
    struct timeval v;
    CHECK(syscall(SYS_clock_gettime, CLOCK_REALTIME, &t) == 0 && syscall(SYS_gettimeofday, &v, NULL) == 0);
    say("%ld.%09ld %ld.%06ld %ld\n", (long)t.tv_sec, t.tv_nsec, (long)v.tv_sec, (long)v.tv_usec, syscall(SYS_time, NULL));
    return 0;
}
