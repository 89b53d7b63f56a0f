// SPDX-License-Identifier: Apache-2.0
// spinning with pause and a counter of its own, two threads in turns
#include "check.h"

static atomic_int turn;
static void *run(void *x) { int me = (long)x; for (int i = 0; i < 30; i++) { while (turn % 2 != me) __builtin_ia32_pause(); turn++; } return 0; }
int main(void) {
    pthread_t t;
    CHECK(pthread_create(&t, 0, run, (void *)1) == 0);
    run((void *)0);
    pthread_join(t, 0);
    CHECK(turn == 60);
    say("turns\n");
    return 0;
}
