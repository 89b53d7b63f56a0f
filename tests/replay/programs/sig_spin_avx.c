// SPDX-License-Identifier: Apache-2.0
// an alarm in a loop that counts in vector registers
// flags: -O2 -mavx
#include "check.h"

#include <immintrin.h>
volatile int stop;
void h(int s) {
    volatile double x = 1;
    for (int i = 0; i < 100; i++) x = x * 1.5 + 2;
    stop = 1;
}
int main() {
    signal(SIGALRM, h);
    ualarm(40000, 0);
    __m256d v = _mm256_set_pd(1, 2, 3, 4), d = _mm256_set1_pd(0.25);
    while (!stop) v = _mm256_add_pd(v, d);
    double o[4];
    _mm256_storeu_pd(o, v);
    printf("%f %f %f %f\n", o[0], o[1], o[2], o[3]);
    return 0;
}
