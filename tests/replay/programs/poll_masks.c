// SPDX-License-Identifier: Apache-2.0
// ppoll, pselect and epoll_pwait with masks
#include "check.h"

static void h(int s) { write(1, "h\n", 2); }
int main() {
    struct sigaction a = {.sa_handler = h};
    sigaction(SIGUSR1, &a, 0);
    sigset_t m, e;
    sigemptyset(&e);
    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    sigprocmask(SIG_BLOCK, &m, 0);
    raise(SIGUSR1);
    struct timespec t = {1, 0};
    int r = ppoll(0, 0, &t, &e);
    printf("%d %d\n", r, errno);
    raise(SIGUSR1);
    r = pselect(0, 0, 0, 0, &t, &e);
    printf("%d %d\n", r, errno);
    int ep = epoll_create1(0);
    struct epoll_event v;
    raise(SIGUSR1);
    r = epoll_pwait(ep, &v, 1, 1000, &e);
    printf("%d %d\n", r, errno);
    return 0;
}
