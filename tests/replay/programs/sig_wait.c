// SPDX-License-Identifier: Apache-2.0
// sigwait, sigwaitinfo, sigtimedwait with and without a signal
#include "check.h"

int main(void) {
    sigset_t s;
    siginfo_t i;
    int n;
    sigemptyset(&s), sigaddset(&s, SIGUSR1), sigaddset(&s, SIGRTMIN);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    struct timespec t = {0, 10000000};
    CHECK(sigtimedwait(&s, &i, &t) == -1 && errno == EAGAIN);
    kill(getpid(), SIGUSR1);
    CHECK(sigwait(&s, &n) == 0 && n == SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5});
    CHECK(sigwaitinfo(&s, &i) == SIGRTMIN && i.si_value.sival_int == 5);
    pid_t pid = fork();
    if (!pid) { usleep(10000); kill(getppid(), SIGUSR1); _exit(0); }
    CHECK(sigtimedwait(&s, &i, NULL) == SIGUSR1 && i.si_pid == pid);
    say("from %d\n", i.si_pid);
    run_child(pid);
    return 0;
}
