// SPDX-License-Identifier: Apache-2.0
// SA_SIGINFO: who sent it, with what value
#include "check.h"

static volatile siginfo_t got;
static void on(int n, siginfo_t *i, void *c) { (void)n, (void)c; got = *i; }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR2, &a, NULL) == 0 && sigaction(SIGRTMIN + 3, &a, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR2) == 0 && got.si_code == SI_USER && got.si_pid == getpid());
    CHECK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 4711}) == 0);
    CHECK(got.si_code == SI_QUEUE && got.si_value.sival_int == 4711);
    say("from %d uid %d\n", got.si_pid, got.si_uid);
    return 0;
}
