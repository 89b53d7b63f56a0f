// SPDX-License-Identifier: Apache-2.0
// a pool of workers with a queue, results in any order
#include "check.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int next, by[4];
static long sum;
static void *run(void *x) {
    for (;;) {
        pthread_mutex_lock(&m);
        int i = next++;
        pthread_mutex_unlock(&m);
        if (i >= 100) return 0;
        long r = 0;
        for (int k = 0; k < 10000; k++) r += k ^ i;
        pthread_mutex_lock(&m);
        sum += r, by[(long)x]++;
        pthread_mutex_unlock(&m);
    }
}
int main(void) {
    pthread_t t[4];
    for (long i = 0; i < 4; i++) CHECK(pthread_create(&t[i], 0, run, (void *)i) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    say("%ld by %d %d %d %d\n", sum, by[0], by[1], by[2], by[3]);
    return 0;
}
