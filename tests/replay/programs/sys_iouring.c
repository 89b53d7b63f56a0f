// SPDX-License-Identifier: Apache-2.0
// io_uring: works or is refused
#include "check.h"

int main(void) {
    struct { char b[120]; } p;
    memset(&p, 0, sizeof p);
    long r = syscall(425, 4, &p);
    say("%s\n", r < 0 ? "refused" : "ring");
    return 0;
}
