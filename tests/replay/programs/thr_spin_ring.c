// SPDX-License-Identifier: Apache-2.0
// a ring between two threads that spin
#include "check.h"

static atomic_uint h, tl;
static int ring[64];
static void *p(void *a) {
    for (int i = 1; i <= 5000; i++) {
        while (atomic_load(&h) - atomic_load(&tl) == 64);
        ring[atomic_load(&h) % 64] = i;
        atomic_fetch_add(&h, 1);
    }
    return 0;
}
int main() {
    pthread_t x;
    pthread_create(&x, 0, p, 0);
    long s = 0;
    for (int i = 0; i < 5000; i++) {
        while (atomic_load(&h) == atomic_load(&tl));
        s += ring[atomic_load(&tl) % 64];
        atomic_fetch_add(&tl, 1);
    }
    pthread_join(x, 0);
    printf("%ld\n", s);
    return 0;
}
