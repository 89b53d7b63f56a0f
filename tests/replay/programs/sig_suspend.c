// SPDX-License-Identifier: Apache-2.0
// sigsuspend and pause
#include "check.h"

static volatile int seen;
static void on(int n) { seen = n; }
int main(void) {
    sigset_t s, none;
    sigemptyset(&none), sigemptyset(&s), sigaddset(&s, SIGUSR1);
    signal(SIGUSR1, on), signal(SIGALRM, on);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0 && kill(getpid(), SIGUSR1) == 0 && !seen);
    CHECK(sigsuspend(&none) == -1 && errno == EINTR && seen == SIGUSR1);
    ualarm(20000, 0);
    CHECK(pause() == -1 && errno == EINTR && seen == SIGALRM);
    say("suspended\n");
    return 0;
}
