// SPDX-License-Identifier: Apache-2.0
// names, dumpable, no_new_privs, pdeathsig, keepcaps, timerslack
#include "check.h"

int main(void) {
    char n[16] = "";
    CHECK(prctl(PR_SET_NAME, "a name of more than fifteen") == 0 && prctl(PR_GET_NAME, n) == 0 && !strcmp(n, "a name of more "));
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    int sig = 0;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGUSR1);
    say("%s slack %d keepcaps %d seccomp %d\n", n, prctl(PR_GET_TIMERSLACK), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECCOMP));
    CHECK(prctl(12345) == -1 && errno == EINVAL);
    return 0;
}
