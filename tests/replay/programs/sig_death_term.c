// SPDX-License-Identifier: Apache-2.0
// SIGTERM with the default action, from a child
// expect: signal 15
#include "check.h"

int main(void) {
    say("about to\n");
    if (!fork()) { kill(getppid(), SIGTERM); _exit(0); }
    for (;;) pause();
    return 0;
}
