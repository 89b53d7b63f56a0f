// SPDX-License-Identifier: Apache-2.0
// threads of C11
#include "check.h"

#include <threads.h>
static mtx_t m;
static cnd_t c;
static int n;
static int t(void *a) {
    mtx_lock(&m);
    n++;
    cnd_signal(&c);
    mtx_unlock(&m);
    return 5;
}
int main() {
    mtx_init(&m, mtx_plain);
    cnd_init(&c);
    thrd_t x;
    thrd_create(&x, t, 0);
    mtx_lock(&m);
    while (!n) cnd_wait(&c, &m);
    mtx_unlock(&m);
    int r;
    thrd_join(x, &r);
    printf("%d\n", r);
    return 0;
}
