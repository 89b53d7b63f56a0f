// SPDX-License-Identifier: Apache-2.0
// a timer's threads while main counts
#include "check.h"

static atomic_int hits;
static void f(union sigval v) { atomic_fetch_add(&hits, 1); }
int main() {
    struct sigevent e = {.sigev_notify = SIGEV_THREAD};
    e.sigev_notify_function = f;
    timer_t t;
    timer_create(CLOCK_MONOTONIC, &e, &t);
    struct itimerspec s = {{0, 5000000}, {0, 5000000}};
    timer_settime(t, 0, &s, 0);
    unsigned long n = 0;
    while (atomic_load(&hits) < 3) n++;
    timer_delete(t);
    printf("%lu\n", n);
    return 0;
}
