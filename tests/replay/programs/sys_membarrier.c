// SPDX-License-Identifier: Apache-2.0
// membarrier: query and private expedited
#include "check.h"

int main(void) {
    long q = syscall(SYS_membarrier, 0, 0, 0);
    say("%ld\n", q < 0 ? -errno : q);
    if (q > 0 && q & 16) CHECK(syscall(SYS_membarrier, 16, 0, 0) == 0 && syscall(SYS_membarrier, 8, 0, 0) == 0);
    return 0;
}
