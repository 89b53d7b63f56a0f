// SPDX-License-Identifier: Apache-2.0
// A thread that asks for the time until another has slept: who makes calls all the time does not keep its turn for ever.
#include "check.h"
#include <stdatomic.h>

static atomic_int woken;

static void *sleeper(void *unused) {
    struct timespec a_moment = {0, 1000000};
    (void)unused;
    for (int n = 0; n < 5; n++) CHECK(nanosleep(&a_moment, NULL) == 0);
    atomic_store(&woken, 1);
    return NULL;
}

int main(void) {
    pthread_t thread;
    struct timespec now = {0, 0};
    CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
    while (!atomic_load(&woken)) CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    say("%ld\n", now.tv_nsec);
    return 0;
}
