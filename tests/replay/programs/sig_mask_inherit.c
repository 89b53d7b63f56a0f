// SPDX-License-Identifier: Apache-2.0
// masks and ignored signals pass through fork and exec
#include "check.h"

int main(int argc, char **argv) {
    sigset_t s;
    struct sigaction o;
    (void)argv;
    if (argc > 1) {
        CHECK(sigprocmask(SIG_BLOCK, NULL, &s) == 0 && sigismember(&s, SIGUSR1) && !sigismember(&s, SIGUSR2));
        CHECK(sigaction(SIGHUP, NULL, &o) == 0 && o.sa_handler == SIG_IGN);
        CHECK(sigaction(SIGTERM, NULL, &o) == 0 && o.sa_handler == SIG_DFL);
        say("inherited\n");
        return 0;
    }
    sigemptyset(&s), sigaddset(&s, SIGUSR1), sigprocmask(SIG_BLOCK, &s, NULL);
    signal(SIGHUP, SIG_IGN), signal(SIGTERM, (void (*)(int))main);
    execl("/proc/self/exe", "me", "x", (char *)0);
    return 98;
}
