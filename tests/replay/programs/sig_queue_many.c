// SPDX-License-Identifier: Apache-2.0
// a hundred queued signals
#include "check.h"

static int n;
static void h(int s, siginfo_t *i, void *c) { n += i->si_value.sival_int; }
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &a, 0);
    sigset_t m, o;
    sigemptyset(&m);
    sigaddset(&m, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &m, &o);
    for (int i = 1; i <= 100; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
    sigset_t p;
    sigpending(&p);
    printf("%d\n", sigismember(&p, SIGRTMIN));
    sigprocmask(SIG_SETMASK, &o, 0);
    printf("%d\n", n);
    return 0;
}
