// SPDX-License-Identifier: Apache-2.0
// close_range closes what it says
#include "check.h"

int main(void) {
    int a = dup(1), b = dup(1), c = dup(1);
    int r = syscall(SYS_close_range, a, b, 0);
    if (r) { say("no close_range %d\n", errno); return 0; }
    CHECK(fcntl(a, F_GETFD) == -1 && fcntl(b, F_GETFD) == -1 && fcntl(c, F_GETFD) == 0);
    say("closed %d to %d\n", a, b);
    return 0;
}
