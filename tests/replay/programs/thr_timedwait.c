// SPDX-License-Identifier: Apache-2.0
// pthread_cond_timedwait and mutex_timedlock run out
#include "check.h"

int main(void) {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    CHECK(pthread_mutex_lock(&m) == 0 && pthread_cond_timedwait(&c, &m, &t) == ETIMEDOUT);
    CHECK(pthread_mutex_timedlock(&m, &t) == ETIMEDOUT);
    say("timed out\n");
    return 0;
}
