// SPDX-License-Identifier: Apache-2.0
// four threads count under a mutex
#include "check.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long n;
static void *run(void *x) { for (int i = 0; i < 10000; i++) { pthread_mutex_lock(&m); n++; pthread_mutex_unlock(&m); } return x; }
int main(void) {
    pthread_t t[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    CHECK(n == 40000);
    say("%ld\n", n);
    return 0;
}
