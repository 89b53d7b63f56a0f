// SPDX-License-Identifier: Apache-2.0
// setting the clock is refused or, with what it is, allowed
#include "check.h"
#include <sys/timex.h>

int main(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    CHECK(clock_settime(CLOCK_MONOTONIC, &t) == -1 && errno == EINVAL);
    struct timex x = {0};
    int r = adjtimex(&x);
    say("%d %ld\n", r < 0 ? errno : 0, r < 0 ? 0L : (long)x.freq);
    return 0;
}
