// SPDX-License-Identifier: Apache-2.0
// a handler runs in between and may do system calls
#include "check.h"

static volatile int seen;
static void on(int n) { seen = n; say("handler %d\n", n); }
int main(void) {
    struct sigaction a = {.sa_handler = on}, o;
    CHECK(sigaction(SIGUSR1, &a, NULL) == 0 && sigaction(SIGUSR1, NULL, &o) == 0 && o.sa_handler == on);
    CHECK(kill(getpid(), SIGUSR1) == 0 && seen == SIGUSR1);
    CHECK(raise(SIGUSR1) == 0 && sigaction(SIGKILL, &a, NULL) == -1 && errno == EINVAL);
    return 0;
}
