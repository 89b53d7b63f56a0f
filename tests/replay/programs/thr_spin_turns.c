// SPDX-License-Identifier: Apache-2.0
// two threads that wait for each other, counting
// flags: -O2
#include "check.h"

static atomic_int turn;
static long sp[2];
static void *t(void *a) {
    long me = (long)a;
    for (int i = 0; i < 50; i++) {
        while (atomic_load(&turn) != me) sp[me]++;
        atomic_store(&turn, !me);
    }
    return 0;
}
int main() {
    pthread_t x, y;
    pthread_create(&x, 0, t, (void *)0);
    pthread_create(&y, 0, t, (void *)1);
    pthread_join(x, 0);
    pthread_join(y, 0);
    printf("%ld %ld\n", sp[0], sp[1]);
    return 0;
}
