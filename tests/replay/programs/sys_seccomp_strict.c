// SPDX-License-Identifier: Apache-2.0
// strict mode: anything but read, write, exit kills
// expect: signal 9
#include "check.h"

int main(void) {
    say("before\n");
    if (prctl(PR_SET_SECCOMP, 1)) { say("no strict mode: %d\n", errno); raise(SIGKILL); }
    if (write(1, "inside\n", 7) != 7) syscall(SYS_exit, 97);
    syscall(SYS_getpid);
    return 0;
}
