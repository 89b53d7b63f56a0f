// SPDX-License-Identifier: Apache-2.0
// a queue between threads
#include "check.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER, d = PTHREAD_COND_INITIALIZER;
static int q[8], n, done;
static long sum;
static void *co(void *a) {
    for (;;) {
        pthread_mutex_lock(&m);
        while (!n && !done) pthread_cond_wait(&c, &m);
        if (!n && done) {
            pthread_mutex_unlock(&m);
            return 0;
        }
        sum += q[--n];
        pthread_cond_signal(&d);
        pthread_mutex_unlock(&m);
    }
}
int main() {
    pthread_t x[4];
    for (int i = 0; i < 4; i++) pthread_create(x + i, 0, co, 0);
    for (int i = 1; i <= 2000; i++) {
        pthread_mutex_lock(&m);
        while (n == 8) pthread_cond_wait(&d, &m);
        q[n++] = i;
        pthread_cond_signal(&c);
        pthread_mutex_unlock(&m);
    }
    pthread_mutex_lock(&m);
    done = 1;
    pthread_cond_broadcast(&c);
    pthread_mutex_unlock(&m);
    for (int i = 0; i < 4; i++) pthread_join(x[i], 0);
    printf("%ld\n", sum);
    return 0;
}
