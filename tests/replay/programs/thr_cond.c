// SPDX-License-Identifier: Apache-2.0
// a producer and two consumers with condition variables
#include "check.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int q, done, eaten[2];
static void *eat(void *x) { for (;;) { pthread_mutex_lock(&m); while (!q && !done) pthread_cond_wait(&c, &m); if (!q) { pthread_mutex_unlock(&m); return 0; } q--; eaten[(long)x]++; pthread_mutex_unlock(&m); } }
int main(void) {
    pthread_t t[2];
    for (long i = 0; i < 2; i++) CHECK(pthread_create(&t[i], 0, eat, (void *)i) == 0);
    for (int i = 0; i < 500; i++) { pthread_mutex_lock(&m); q++; pthread_cond_signal(&c); pthread_mutex_unlock(&m); }
    pthread_mutex_lock(&m), done = 1, pthread_cond_broadcast(&c), pthread_mutex_unlock(&m);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    CHECK(eaten[0] + eaten[1] == 500);
    say("%d and %d\n", eaten[0], eaten[1]);
    return 0;
}
