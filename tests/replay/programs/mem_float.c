// SPDX-License-Identifier: Apache-2.0
// floating point, SSE and AVX state survive calls and signals
#include "check.h"

static volatile int hit;
static void on(int n) { double d = 0; (void)n; for (int i = 0; i < 100; i++) d += i * 0.5; hit = (int)d; }
int main(void) {
    double x = 1;
    signal(SIGUSR1, on);
    for (int i = 1; i < 2000; i++) { x += 1.0 / i; if (i % 100 == 0) raise(SIGUSR1); if (i % 7 == 0) getppid(); }
    CHECK(hit == 2475);
    say("%.17g\n", x);
    return 0;
}
