// SPDX-License-Identifier: Apache-2.0
// affinity, policies, priorities, yield
#include "check.h"

int main(void) {
    cpu_set_t s;
    struct sched_param p;
    struct timespec t;
    CHECK(sched_getaffinity(0, sizeof s, &s) == 0 && sched_setaffinity(0, sizeof s, &s) == 0);
    CHECK(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &p) == 0 && p.sched_priority == 0 && sched_yield() == 0);
    p.sched_priority = 1;
    int r = sched_setscheduler(0, SCHED_FIFO, &p);
    CHECK(sched_rr_get_interval(0, &t) == 0);
    say("%d cpus, fifo %d, max %d, interval %ld\n", CPU_COUNT(&s), r ? errno : 0, sched_get_priority_max(SCHED_FIFO), t.tv_nsec);
    return 0;
}
