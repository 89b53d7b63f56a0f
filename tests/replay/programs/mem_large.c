// SPDX-License-Identifier: Apache-2.0
// two hundred megabytes mapped, a few pages touched
#include "check.h"

int main(void) {
    char *m = mmap(0, 200 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(m != MAP_FAILED);
    for (long i = 0; i < 200; i += 10) m[i << 20] = i;
    long sum = 0;
    for (long i = 0; i < 200; i++) sum += m[i << 20];
    say("%ld\n", sum);
    return 0;
}
