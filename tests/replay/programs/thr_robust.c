// SPDX-License-Identifier: Apache-2.0
// a robust mutex whose owner died
#include "check.h"

static pthread_mutex_t m;
static void *run(void *x) { pthread_mutex_lock(&m); return x; }
int main(void) {
    pthread_mutexattr_t a;
    pthread_t t;
    pthread_mutexattr_init(&a), pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), pthread_mutex_init(&m, &a);
    CHECK(pthread_create(&t, 0, run, 0) == 0 && pthread_join(t, 0) == 0);
    CHECK(pthread_mutex_lock(&m) == EOWNERDEAD && pthread_mutex_consistent(&m) == 0 && pthread_mutex_unlock(&m) == 0 && pthread_mutex_lock(&m) == 0);
    say("robust\n");
    return 0;
}
