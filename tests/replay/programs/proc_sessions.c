// SPDX-License-Identifier: Apache-2.0
// setsid, getsid, setpgid, getpgid, tcgetpgrp
#include "check.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) {
        CHECK(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        CHECK(setsid() == -1 && errno == EPERM);
        pid_t k = fork();
        if (!k) { CHECK(setpgid(0, 0) == 0 && getpgid(0) == getpid()); say("group %d\n", getpgrp()); _exit(0); }
        _exit(WEXITSTATUS(run_child(k)));
    }
    CHECK(run_child(pid) == 0);
    say("session %d group %d\n", getsid(0), getpgrp());
    return 0;
}
