// SPDX-License-Identifier: Apache-2.0
// five threads meet at a barrier, ten times
#include "check.h"

static pthread_barrier_t b;
static int serial[10];
static void *run(void *x) { for (int i = 0; i < 10; i++) if (pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_add_fetch(&serial[i], 1, __ATOMIC_SEQ_CST); return x; }
int main(void) {
    pthread_t t[5];
    CHECK(pthread_barrier_init(&b, 0, 5) == 0);
    for (int i = 0; i < 5; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 5; i++) pthread_join(t[i], 0);
    for (int i = 0; i < 10; i++) CHECK(serial[i] == 1);
    say("barrier\n");
    return 0;
}
