// SPDX-License-Identifier: Apache-2.0
// threads that compute until a flag is set
// flags: -O2
#include "check.h"

static atomic_int go;
static void *t(void *a) {
    unsigned long x = (long)a + 88172645463325252ul;
    while (!atomic_load_explicit(&go, memory_order_relaxed)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    printf("%lu\n", x);
    return 0;
}
int main() {
    pthread_t x, y;
    pthread_create(&x, 0, t, (void *)0);
    pthread_create(&y, 0, t, (void *)1);
    usleep(30000);
    atomic_store(&go, 1);
    pthread_join(x, 0);
    pthread_join(y, 0);
    return 0;
}
