// SPDX-License-Identifier: Apache-2.0
// a timer that is faster than its handler
#include "check.h"

static volatile int n, ov;
static timer_t t;
static void h(int s, siginfo_t *i, void *c) {
    n++;
    ov += timer_getoverrun(t);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &a, 0);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    timer_create(CLOCK_REALTIME, &e, &t);
    struct itimerspec s = {{0, 1000000}, {0, 1000000}};
    timer_settime(t, 0, &s, 0);
    unsigned long k = 0;
    while (n + ov < 20) k++;
    printf("%d %d %lu\n", n, ov, k);
    return 0;
}
