// SPDX-License-Identifier: Apache-2.0
// an alarm while memory is copied
#include "check.h"

static volatile int st;
static void h(int s) { st = 1; }
int main() {
    signal(SIGALRM, h);
    char *a = malloc(1 << 20), *b = malloc(1 << 20);
    memset(a, 1, 1 << 20);
    ualarm(40000, 0);
    long r = 0;
    while (!st) {
        memcpy(b, a, 1 << 20);
        a[r % 1000]++;
        r++;
    }
    long q = 0;
    for (int i = 0; i < 1 << 20; i++) q += b[i];
    printf("%ld %ld\n", r, q);
    return 0;
}
