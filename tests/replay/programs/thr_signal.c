// SPDX-License-Identifier: Apache-2.0
// pthread_kill to one thread, a mask per thread
#include "check.h"

static volatile int who;
static void on(int n) { (void)n; who = gettid(); }
static void *run(void *x) { sigset_t s; sigemptyset(&s), sigaddset(&s, SIGUSR1); pthread_sigmask(SIG_UNBLOCK, &s, 0); while (!who) usleep(500); CHECK(who == gettid()); return x; }
int main(void) {
    pthread_t t;
    sigset_t s;
    signal(SIGUSR1, on);
    sigemptyset(&s), sigaddset(&s, SIGUSR1), pthread_sigmask(SIG_BLOCK, &s, 0);
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    usleep(3000);
    CHECK(kill(getpid(), SIGUSR1) == 0 && pthread_join(t, 0) == 0);
    say("delivered to %d\n", who);
    return 0;
}
