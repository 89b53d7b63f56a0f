// SPDX-License-Identifier: Apache-2.0
// a thread that counts how often it has looked at a flag
// flags: -O2
#include "check.h"

static atomic_int flag;
static void *t(void *a) {
    usleep(1000);
    atomic_store(&flag, 1);
    return 0;
}
int main() {
    pthread_t x;
    pthread_create(&x, 0, t, 0);
    unsigned long n = 0;
    while (!atomic_load(&flag)) n++;
    pthread_join(x, 0);
    printf("%lu\n", n);
    return 0;
}
