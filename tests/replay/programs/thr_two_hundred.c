// SPDX-License-Identifier: Apache-2.0
// two hundred threads
#include "check.h"

static atomic_int c;
static void *t(void *a) {
    atomic_fetch_add(&c, (int)(long)a);
    return a;
}
int main() {
    pthread_t x[200];
    long s = 0;
    for (long i = 0; i < 200; i++) pthread_create(x + i, 0, t, (void *)i);
    for (int i = 0; i < 200; i++) {
        void *r;
        pthread_join(x[i], &r);
        s += (long)r;
    }
    printf("%d %ld\n", c, s);
    return 0;
}
