// SPDX-License-Identifier: Apache-2.0
// threads with a spin lock that do not sleep
#include "check.h"

static pthread_spinlock_t l;
static long n;
static void *run(void *x) { for (int i = 0; i < 5000; i++) { pthread_spin_lock(&l); n++; pthread_spin_unlock(&l); } return x; }
int main(void) {
    pthread_t t[3];
    CHECK(pthread_spin_init(&l, 0) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    CHECK(n == 15000);
    say("%ld\n", n);
    return 0;
}
