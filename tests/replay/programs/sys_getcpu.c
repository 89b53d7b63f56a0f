// SPDX-License-Identifier: Apache-2.0
// getcpu by vDSO and by call, sched_getcpu
#include "check.h"

int main(void) {
    unsigned c, n;
    CHECK(getcpu(&c, &n) == 0 && syscall(SYS_getcpu, &c, &n, NULL) == 0);
    say("cpu %u node %u now %d\n", c, n, sched_getcpu());
    return 0;
}
