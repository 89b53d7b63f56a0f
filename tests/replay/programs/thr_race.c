// SPDX-License-Identifier: Apache-2.0
// an unsynchronised counter: what comes out is the schedule's
#include "check.h"

static volatile long n;
static void *run(void *x) { for (int i = 0; i < 20000; i++) { n++; if (i % 1000 == 0) sched_yield(); } return x; }
int main(void) {
    pthread_t t[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    say("%ld\n", n);
    return 0;
}
