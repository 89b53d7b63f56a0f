// SPDX-License-Identifier: Apache-2.0
// vector registers across handlers
// flags: -O2 -mavx2
#include "check.h"

#include <immintrin.h>
static volatile int n;
static void h(int s) {
    __m256i z = _mm256_set1_epi32(9);
    n += _mm256_extract_epi32(z, 3);
}
int main() {
    signal(SIGUSR1, h);
    __m256i v = _mm256_set_epi64x(1, 2, 3, 4);
    for (int i = 0; i < 5; i++) {
        raise(SIGUSR1);
        v = _mm256_add_epi64(v, v);
    }
    long o[4];
    _mm256_storeu_si256((void *)o, v);
    printf("%ld %ld %ld %ld %d\n", o[0], o[1], o[2], o[3], n);
    return 0;
}
