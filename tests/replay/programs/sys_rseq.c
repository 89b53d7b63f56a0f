// SPDX-License-Identifier: Apache-2.0
// what rseq and the like answer
#include "check.h"

int main(void) {
    long r = syscall(334, NULL, 0, 0, 0);
    say("%ld %d\n", r, errno);
    return 0;
}
