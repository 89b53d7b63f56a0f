// SPDX-License-Identifier: Apache-2.0
// futex_waitv
#include "check.h"

#include <linux/futex.h>
int main() {
    static int a, b;
    struct futex_waitv w[2] = {{0, (long)&a, FUTEX_32, 0}, {0, (long)&b, FUTEX_32, 0}};
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 5000000;
    if (t.tv_nsec > 999999999) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    long r = syscall(449, w, 2, 0, &t, CLOCK_MONOTONIC);
    printf("%ld %d\n", r, errno);
    return 0;
}
