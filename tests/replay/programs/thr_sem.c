// SPDX-License-Identifier: Apache-2.0
// semaphores hand a token round
#include "check.h"

static sem_t s[3];
static void *run(void *x) { long i = (long)x; for (int k = 0; k < 20; k++) { sem_wait(&s[i]); if (k % 10 == 0) say("%ld ", i); sem_post(&s[(i + 1) % 3]); } return 0; }
int main(void) {
    pthread_t t[3];
    for (int i = 0; i < 3; i++) CHECK(sem_init(&s[i], 0, i == 0) == 0);
    for (long i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, run, (void *)i) == 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    int v;
    CHECK(sem_getvalue(&s[0], &v) == 0 && v == 1 && sem_trywait(&s[1]) == -1 && errno == EAGAIN);
    say("\n");
    return 0;
}
