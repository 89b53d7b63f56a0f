// SPDX-License-Identifier: Apache-2.0
// sixty threads, created and joined in waves
#include "check.h"

static void *run(void *x) { sched_yield(); return x; }
int main(void) {
    pthread_t t[20];
    for (int w = 0; w < 3; w++) { for (int i = 0; i < 20; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0); for (int i = 0; i < 20; i++) pthread_join(t[i], 0); }
    say("waves\n");
    return 0;
}
