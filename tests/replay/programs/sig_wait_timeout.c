// SPDX-License-Identifier: Apache-2.0
// sigtimedwait and sigwaitinfo
#include "check.h"

int main() {
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    sigprocmask(SIG_BLOCK, &m, 0);
    struct timespec t = {0, 10000000};
    siginfo_t i;
    int r = sigtimedwait(&m, &i, &t);
    printf("%d %d\n", r, errno);
    if (!fork()) {
        usleep(5000);
        sigqueue(getppid(), SIGUSR1, (union sigval){.sival_int = 5});
        _exit(0);
    }
    r = sigwaitinfo(&m, &i);
    printf("%d %d\n", r, i.si_value.sival_int);
    wait(0);
    return 0;
}
