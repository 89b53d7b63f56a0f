// SPDX-License-Identifier: Apache-2.0
// SA_RESETHAND and SA_NODEFER
#include "check.h"

static void h(int s) {
    struct sigaction o;
    sigaction(s, 0, &o);
    sigset_t m;
    sigprocmask(0, 0, &m);
    printf("%d dfl %d blocked %d\n", s, o.sa_handler == SIG_DFL, sigismember(&m, s));
}
int main() {
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_RESETHAND | SA_NODEFER};
    sigaction(SIGUSR1, &a, 0);
    a.sa_flags = 0;
    sigaction(SIGUSR2, &a, 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    raise(SIGUSR2);
    return 0;
}
