// SPDX-License-Identifier: Apache-2.0
// __thread variables, pthread keys with destructors
#include "check.h"

static __thread int own = 5;
static pthread_key_t k;
static int destroyed;
static void gone(void *x) { destroyed += (long)x; }
static void *run(void *x) { CHECK(own == 5); own = (long)x; pthread_setspecific(k, x); sched_yield(); CHECK(own == (long)x && pthread_getspecific(k) == x); return 0; }
int main(void) {
    pthread_t t[4];
    CHECK(pthread_key_create(&k, gone) == 0);
    for (long i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, run, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    CHECK(own == 5 && destroyed == 10);
    say("tls %p\n", (void *)&own);
    return 0;
}
