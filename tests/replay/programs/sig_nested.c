// SPDX-License-Identifier: Apache-2.0
// a handler interrupted by another, masks and SA_NODEFER
#include "check.h"

static int depth, most;
static void on(int n) { if (++depth > most) most = depth; say("in %d at %d\n", n, depth); if (n == SIGUSR1) raise(SIGUSR2); if (n == SIGUSR2 && most < 4) raise(SIGUSR2); depth--; say("out %d\n", n); }
int main(void) {
    struct sigaction a = {.sa_handler = on, .sa_flags = SA_NODEFER}, m = {.sa_handler = on};
    sigaddset(&m.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &a, NULL) == 0 && sigaction(SIGUSR2, &a, NULL) == 0);
    raise(SIGUSR1);
    CHECK(most == 4);
    CHECK(sigaction(SIGUSR1, &m, NULL) == 0);
    raise(SIGUSR1);
    return 0;
}
