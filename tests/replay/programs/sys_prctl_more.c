// SPDX-License-Identifier: Apache-2.0
// more of prctl
#include "check.h"

int main() {
    printf("%d %d %d %d %d\n", prctl(PR_GET_DUMPABLE), prctl(PR_SET_DUMPABLE, 0), prctl(PR_GET_DUMPABLE),
           prctl(PR_SET_KEEPCAPS, 1), prctl(PR_GET_KEEPCAPS));
    prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_TIMERSLACK, 1000);
    printf("%d %d\n", prctl(PR_GET_TIMERSLACK), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    int v = 9;
    prctl(PR_GET_TSC, &v);
    printf("%d\n", v);
    printf("%d\n", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    printf("%d\n", prctl(9999));
    return 0;
}
