// SPDX-License-Identifier: Apache-2.0
// setitimer of all three kinds, getitimer
#include "check.h"

static volatile int count;
static void on(int n) { (void)n; count++; }
int main(void) {
    struct itimerval t = {{0, 5000}, {0, 5000}}, g;
    signal(SIGALRM, on), signal(SIGVTALRM, on), signal(SIGPROF, on);
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
    while (count < 5) pause();
    CHECK(getitimer(ITIMER_REAL, &g) == 0 && g.it_interval.tv_usec == 5000);
    memset(&t, 0, sizeof t);
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
    t.it_value.tv_usec = 10000;
    count = 0;
    CHECK(setitimer(ITIMER_PROF, &t, NULL) == 0);
    while (!count) getppid();
    say("ticked, left %ld\n", (long)g.it_value.tv_usec);
    return 0;
}
