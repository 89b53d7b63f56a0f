// SPDX-License-Identifier: Apache-2.0
// cancelling a thread that counts
#include "check.h"

static void *t(void *a) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    volatile unsigned long *n = a;
    for (;;) (*n)++;
}
int main() {
    pthread_t x;
    static volatile unsigned long n;
    pthread_create(&x, 0, t, (void *)&n);
    usleep(10000);
    pthread_cancel(x);
    void *r;
    pthread_join(x, &r);
    printf("%d %lu\n", r == PTHREAD_CANCELED, n);
    return 0;
}
