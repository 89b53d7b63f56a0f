// SPDX-License-Identifier: Apache-2.0
// SIGCHLD: handler reaps, SA_NOCLDWAIT, SIG_IGN
#include "check.h"

static volatile int reaped;
static void on(int n) { int s; (void)n; while (waitpid(-1, &s, WNOHANG) > 0) reaped++; }
int main(void) {
    struct sigaction a = {.sa_handler = on, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    CHECK(sigaction(SIGCHLD, &a, NULL) == 0);
    for (int i = 0; i < 5; i++) if (!fork()) _exit(i);
    sigset_t none, block;
    sigemptyset(&none), sigemptyset(&block), sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, NULL);
    while (reaped < 5) sigsuspend(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_IGN);
    if (!fork()) _exit(0);
    CHECK(wait(0) == -1 && errno == ECHILD);
    say("reaped %d\n", reaped);
    return 0;
}
