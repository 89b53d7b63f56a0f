// SPDX-License-Identifier: Apache-2.0
// a timer that makes a thread each time
#include "check.h"

static atomic_int hits;
static void f(union sigval v) { atomic_fetch_add(&hits, v.sival_int); }
int main() {
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 2};
    e.sigev_notify_function = f;
    timer_t t;
    timer_create(CLOCK_MONOTONIC, &e, &t);
    struct itimerspec s = {{0, 5000000}, {0, 5000000}};
    timer_settime(t, 0, &s, 0);
    while (atomic_load(&hits) < 6) usleep(1000);
    timer_delete(t);
    printf("ok\n");
    return 0;
}
