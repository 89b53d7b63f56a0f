// SPDX-License-Identifier: Apache-2.0
// a timer that signals one thread
#include "check.h"

static volatile int n;
static void h(int s, siginfo_t *i, void *c) { n += i->si_value.sival_int; }
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN + 1, &a, 0);
    struct sigevent e = {
        .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 3};
    e._sigev_un._tid = gettid();
    timer_t t;
    timer_create(CLOCK_MONOTONIC, &e, &t);
    struct itimerspec s = {{0, 2000000}, {0, 2000000}};
    timer_settime(t, 0, &s, 0);
    while (n < 9) pause();
    printf("%d over %d\n", n >= 9, timer_getoverrun(t) >= 0);
    timer_delete(t);
    return 0;
}
