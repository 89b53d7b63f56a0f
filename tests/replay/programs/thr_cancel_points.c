// SPDX-License-Identifier: Apache-2.0
// cancellation in calls that wait
#include "check.h"

static int cl;
static void cu(void *a) { cl += (long)a; }
static int p[2];
static void *t(void *a) {
    pthread_cleanup_push(cu, (void *)1);
    pthread_cleanup_push(cu, (void *)10);
    char b;
    switch ((long)a) {
    case 0: read(p[0], &b, 1); break;
    case 1: pause(); break;
    case 2: sleep(100); break;
    case 3:
        for (;;) pthread_testcancel();
    case 4: {
        sem_t s;
        sem_init(&s, 0, 0);
        sem_wait(&s);
    }
    case 5: {
        pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t c = PTHREAD_COND_INITIALIZER;
        pthread_mutex_lock(&m);
        pthread_cond_wait(&c, &m);
    }
    }
    pthread_cleanup_pop(1);
    pthread_cleanup_pop(1);
    return 0;
}
int main() {
    pipe(p);
    for (long i = 0; i < 6; i++) {
        pthread_t x;
        pthread_create(&x, 0, t, (void *)i);
        usleep(3000);
        pthread_cancel(x);
        void *r;
        pthread_join(x, &r);
        printf("%ld %d %d\n", i, r == PTHREAD_CANCELED, cl);
    }
    return 0;
}
