// SPDX-License-Identifier: Apache-2.0
// alarm while the program waits for a flag
#include "check.h"

static volatile int stop;
static void on(int s) { (void)s; stop = 1; }
int main(void) {
    signal(SIGALRM, on);
    ualarm(50000, 0);
    while (!stop) {}
    say("stopped\n");
    return 0;
}
