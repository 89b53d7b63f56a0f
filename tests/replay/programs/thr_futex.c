// SPDX-License-Identifier: Apache-2.0
// raw futex: wait, wake, requeue, bitset, EAGAIN, timeout
#include "check.h"

static uint32_t a, b;
static long f(uint32_t *w, int op, uint32_t v, void *t, uint32_t *w2, uint32_t v3) { return syscall(SYS_futex, w, op, v, t, w2, v3); }
static void *run(void *x) { while (!__atomic_load_n(&a, __ATOMIC_SEQ_CST)) f(&a, FUTEX_WAIT, 0, 0, 0, 0); return x; }
int main(void) {
    pthread_t t[3];
    struct timespec s = {0, 5000000};
    CHECK(f(&a, FUTEX_WAIT, 9, 0, 0, 0) == -1 && errno == EAGAIN);
    CHECK(f(&a, FUTEX_WAIT, 0, &s, 0, 0) == -1 && errno == ETIMEDOUT);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    usleep(5000);
    long moved = f(&a, FUTEX_CMP_REQUEUE, 1, (void *)10, &b, 0);
    __atomic_store_n(&a, 1, __ATOMIC_SEQ_CST);
    f(&a, FUTEX_WAKE, 10, 0, 0, 0), f(&b, FUTEX_WAKE, 10, 0, 0, 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    say("moved %ld\n", moved);
    return 0;
}
