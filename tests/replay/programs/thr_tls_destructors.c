// SPDX-License-Identifier: Apache-2.0
// destructors of thread-specific data
#include "check.h"

static pthread_key_t k;
static __thread int v = 5;
static void d(void *a) {
    printf("dtor %ld\n", (long)a);
    if ((long)a > 1) pthread_setspecific(k, (void *)((long)a - 1));
}
static void *t(void *a) {
    v += (long)a;
    pthread_setspecific(k, a);
    return (void *)(long)v;
}
int main() {
    pthread_key_create(&k, d);
    pthread_t x;
    void *r;
    pthread_create(&x, 0, t, (void *)3);
    pthread_join(x, &r);
    printf("%ld %d\n", (long)r, v);
    return 0;
}
