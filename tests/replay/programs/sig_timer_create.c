// SPDX-License-Identifier: Apache-2.0
// POSIX timers: signal with value, overrun, gettime
#include "check.h"

static volatile int count, value;
static void on(int n, siginfo_t *i, void *c) { (void)n, (void)c; count++; value = i->si_value.sival_int; }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    timer_t t;
    struct itimerspec s = {{0, 3000000}, {0, 3000000}}, g;
    CHECK(sigaction(SIGRTMIN, &a, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &e, &t) == 0);
    CHECK(timer_settime(t, 0, &s, NULL) == 0);
    while (count < 4) pause();
    CHECK(timer_gettime(t, &g) == 0 && value == 77);
    say("overrun %d left %ld\n", timer_getoverrun(t), g.it_value.tv_nsec);
    CHECK(timer_delete(t) == 0);
    return 0;
}
