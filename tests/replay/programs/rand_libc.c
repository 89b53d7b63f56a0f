// SPDX-License-Identifier: Apache-2.0
// rand, random, drand48 seeded with the time and the pid
#include "check.h"

int main(void) {
    srand(time(NULL) ^ getpid()), srandom(getpid()), srand48(time(NULL));
    for (int i = 0; i < 5; i++) say("%d %ld %f\n", rand(), random(), drand48());
    return 0;
}
