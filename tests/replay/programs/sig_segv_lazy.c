// SPDX-License-Identifier: Apache-2.0
// pages that are made accessible when they are touched
#include "check.h"

static char *p;
static int n;
static void h(int s, siginfo_t *i, void *c) {
    char *a = (char *)((long)i->si_addr & ~4095l);
    mprotect(a, 4096, 3);
    n++;
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    p = mmap(0, 100 * 4096, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 100; i++) p[i * 4096] = i;
    long s = 0;
    for (int i = 0; i < 100; i++) s += p[i * 4096];
    printf("%d %ld\n", n, s);
    return 0;
}
