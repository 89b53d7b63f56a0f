// SPDX-License-Identifier: Apache-2.0
// timer signals in a loop that counts in memory and is nearly always at the same instruction: each handler sees another count
#include "check.h"

static atomic_long ticks;
static long seen[5];
static volatile int signals;
static void on_alarm(int s) {
    (void)s;
    seen[signals++] = ticks & LONG_MAX;
    if (signals == 5) atomic_fetch_or(&ticks, LONG_MIN);
}
int main() {
    signal(SIGALRM, on_alarm);
    struct itimerval every = {{0, 40000}, {0, 40000}}, never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &every, 0) == 0);
    // The slow instruction has a prefix that does nothing there, and the wide one after it is where a thread is interrupted.
    __asm__ volatile("1: .byte 0xf2\n lock incq (%0)\n nopl 0x11223344(%%rax, %%rax, 1)\n jns 1b" : : "r"(&ticks) : "memory", "cc");
    CHECK(setitimer(ITIMER_REAL, &never, 0) == 0);
    for (int i = 0; i < 5; i++) say("%ld\n", seen[i]);
    return 0;
}
