// SPDX-License-Identifier: Apache-2.0
// a system call that does not exist, and one that is gone
#include "check.h"

int main(void) {
    CHECK(syscall(100000) == -1 && errno == ENOSYS);
    CHECK(syscall(SYS_uselib, "x") == -1);
    say("%d\n", errno);
    return 0;
}
