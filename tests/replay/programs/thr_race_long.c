// SPDX-License-Identifier: Apache-2.0
// a race of long loops
#include "check.h"

static volatile long n;
static void *t(void *a) {
    for (int i = 0; i < 3000000; i++) n++;
    return 0;
}
int main() {
    pthread_t x[3];
    for (int i = 0; i < 3; i++) pthread_create(x + i, 0, t, 0);
    for (int i = 0; i < 3; i++) pthread_join(x[i], 0);
    printf("%ld\n", n);
    return 0;
}
