// SPDX-License-Identifier: Apache-2.0
// SA_RESTART: a read goes on after the handler
#include "check.h"

static int p[2];
static void on(int n) { (void)n; CHECK(write(p[1], "late", 4) == 4); }
int main(void) {
    struct sigaction a = {.sa_handler = on, .sa_flags = SA_RESTART};
    char b[8];
    CHECK(pipe(p) == 0 && sigaction(SIGALRM, &a, NULL) == 0);
    struct itimerval t = {.it_value = {0, 30000}};
    CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
    CHECK(read(p[0], b, 8) == 4);
    say("%.4s\n", b);
    return 0;
}
