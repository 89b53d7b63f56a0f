// SPDX-License-Identifier: Apache-2.0
// main leaves, threads go on
#include "check.h"

static void *t(void *a) {
    usleep(1000 * (long)a);
    printf("t%ld\n", (long)a);
    return 0;
}
int main() {
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, 1);
    pthread_t x;
    for (long i = 1; i < 6; i++) pthread_create(&x, &a, t, (void *)(i * 3));
    pthread_exit(0);
}
