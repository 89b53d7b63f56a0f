// SPDX-License-Identifier: Apache-2.0
// cancelling threads that compute
#include "check.h"

static void *t(void *a) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    double *x = a;
    for (;;) { *x = *x * 1.0000001 + 1; }
    return 0;
}
int main() {
    for (int i = 0; i < 5; i++) {
        static double d;
        d = 0;
        pthread_t x;
        pthread_create(&x, 0, t, &d);
        usleep(3000);
        pthread_cancel(x);
        void *r;
        pthread_join(x, &r);
        printf("%d %g\n", r == PTHREAD_CANCELED, d);
    }
    return 0;
}
