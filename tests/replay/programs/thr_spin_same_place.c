// SPDX-License-Identifier: Apache-2.0
// three threads that wait for each other, counting in memory in loops that are nearly always at the same instruction; whose turn it
// is goes round against the order in which they run
#include "check.h"

static atomic_long ticks[3];
static void wait_for_turn(atomic_long *mine) {
    // The slow instruction has a prefix that does nothing there, and the wide one after it is where a thread is interrupted.
    __asm__ volatile("1: .byte 0xf2\n lock incq (%0)\n nopl 0x11223344(%%rax, %%rax, 1)\n jns 1b" : : "r"(mine) : "memory", "cc");
}
static void *t(void *a) {
    long me = (long)a, waited = 0;
    for (int i = 0; i < 10; i++) {
        wait_for_turn(&ticks[me]);
        waited += ticks[me] & LONG_MAX;
        ticks[me] = 0;
        atomic_fetch_or(&ticks[(me + 2) % 3], LONG_MIN);
    }
    return (void *)waited;
}
int main() {
    pthread_t threads[3];
    void *waited[3];
    atomic_fetch_or(&ticks[0], LONG_MIN);
    for (long i = 0; i < 3; i++) pthread_create(&threads[i], 0, t, (void *)i);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], &waited[i]);
    printf("%ld %ld %ld\n", (long)waited[0], (long)waited[1], (long)waited[2]);
    return 0;
}
