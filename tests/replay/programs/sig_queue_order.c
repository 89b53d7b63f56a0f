// SPDX-License-Identifier: Apache-2.0
// real-time signals are queued in order, standard ones merge
#include "check.h"

static char order[64];
static int n;
static void on(int s, siginfo_t *i, void *c) { (void)c; n += sprintf(order + n, "%d:%d ", s - SIGRTMIN, i->si_value.sival_int); }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    sigset_t all, pending;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int i = 0; i < 3; i++) CHECK(sigaction(SIGRTMIN + i, &a, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(sigqueue(getpid(), SIGRTMIN + 2 - i % 3, (union sigval){.sival_int = i}) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("%s\n", order);
    return 0;
}
