// SPDX-License-Identifier: Apache-2.0
// readers and a writer
#include "check.h"

static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
static int value, seen;
static void *rd(void *x) { for (int i = 0; i < 100; i++) { pthread_rwlock_rdlock(&l); if (value > seen) seen = value; pthread_rwlock_unlock(&l); sched_yield(); } return x; }
static void *wr(void *x) { for (int i = 0; i < 100; i++) { pthread_rwlock_wrlock(&l); value++; pthread_rwlock_unlock(&l); sched_yield(); } return x; }
int main(void) {
    pthread_t t[4];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, rd, 0) == 0);
    CHECK(pthread_create(&t[3], 0, wr, 0) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    CHECK(value == 100);
    say("seen %d\n", seen);
    return 0;
}
