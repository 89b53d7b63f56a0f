// SPDX-License-Identifier: Apache-2.0
// kills itself with SIGKILL
// expect: signal 9
#include "check.h"

int main(void) {
    say("about to\n");
    kill(getpid(), SIGKILL);
    pause();
    return 0;
}
