// SPDX-License-Identifier: Apache-2.0
// nice, getpriority, setpriority, ioprio
#include "check.h"

int main(void) {
    errno = 0;
    int before = getpriority(PRIO_PROCESS, 0);
    CHECK(nice(3) == before + 3 && getpriority(PRIO_PROCESS, 0) == before + 3);
    int r = setpriority(PRIO_PROCESS, 0, -5);
    say("%d then %d, ioprio %ld\n", before, r ? errno : 0, syscall(SYS_ioprio_get, 1, 0));
    return 0;
}
