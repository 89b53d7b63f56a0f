// SPDX-License-Identifier: Apache-2.0
// detached threads end by themselves
#include "check.h"

static atomic_int n;
static void *run(void *x) { usleep(1000); n++; return x; }
int main(void) {
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a), pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED), pthread_attr_setstacksize(&a, 65536);
    for (int i = 0; i < 10; i++) CHECK(pthread_create(&t, &a, run, 0) == 0);
    while (n < 10) usleep(1000);
    say("detached\n");
    return 0;
}
