// SPDX-License-Identifier: Apache-2.0
// a thread crashes; all end by its signal
// expect: signal 11
#include "check.h"

static void *run(void *x) { usleep(3000); *(volatile int *)16 = 1; return x; }
int main(void) {
    pthread_t t;
    struct rlimit l = {0, 0};
    setrlimit(RLIMIT_CORE, &l);
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    say("waiting\n");
    for (;;) pause();
}
