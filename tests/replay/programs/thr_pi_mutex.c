// SPDX-License-Identifier: Apache-2.0
// a mutex with priority inheritance
#include "check.h"

static pthread_mutex_t m;
static int n;
static void *run(void *x) { for (int i = 0; i < 200; i++) { pthread_mutex_lock(&m); n++; if (i % 50 == 0) sched_yield(); pthread_mutex_unlock(&m); } return x; }
int main(void) {
    pthread_mutexattr_t a;
    pthread_t t[3];
    pthread_mutexattr_init(&a), pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), pthread_mutex_init(&m, &a);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    CHECK(n == 600);
    say("%d\n", n);
    return 0;
}
