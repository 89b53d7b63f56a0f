// SPDX-License-Identifier: Apache-2.0
// signals to a thread that counts
#include "check.h"

static volatile int got;
static void h(int s) { got++; }
static void *t(void *a) {
    unsigned long n = 0;
    while (got < 3) n++;
    printf("%lu\n", n);
    return 0;
}
int main() {
    signal(SIGUSR1, h);
    pthread_t x;
    pthread_create(&x, 0, t, 0);
    for (int i = 0; i < 3; i++) {
        usleep(5000);
        int g = got;
        pthread_kill(x, SIGUSR1);
        while (got == g) usleep(500);
    }
    pthread_join(x, 0);
    printf("%d\n", got);
    return 0;
}
