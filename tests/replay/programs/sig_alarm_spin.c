// SPDX-License-Identifier: Apache-2.0
// alarm while the program computes and makes no calls
#include "check.h"

static volatile int stop;
static volatile unsigned long n;
static void on(int s) { (void)s; stop = 1; }
int main(void) {
    signal(SIGALRM, on);
    ualarm(50000, 0);
    while (!stop) n++;
    say("counted to %lu\n", n);
    return 0;
}
