// SPDX-License-Identifier: Apache-2.0
// a sequence lock
#include "check.h"

static atomic_uint q;
static volatile long a, b;
static atomic_int stop;
static void *w(void *x) {
    for (int i = 0; i < 20000; i++) {
        atomic_fetch_add(&q, 1);
        a = i;
        b = -i;
        atomic_fetch_add(&q, 1);
    }
    atomic_store(&stop, 1);
    return 0;
}
int main() {
    pthread_t x;
    pthread_create(&x, 0, w, 0);
    long r = 0, bad = 0;
    while (!atomic_load(&stop)) {
        unsigned s = atomic_load(&q);
        long u = a, v = b;
        if (!(s & 1) && s == atomic_load(&q)) {
            r++;
            if (u + v) bad++;
        }
    }
    pthread_join(x, 0);
    printf("%d %ld\n", r >= 0, bad);
    return 0;
}
