// SPDX-License-Identifier: Apache-2.0
// what waitid tells
#include "check.h"

int main() {
    siginfo_t i;
    pid_t c = fork();
    if (!c) _exit(9);
    waitid(P_PID, c, &i, WEXITED | WNOWAIT);
    printf("%d %d %d\n", i.si_code, i.si_status, i.si_pid == c);
    waitid(P_PID, c, &i, WEXITED);
    c = fork();
    if (!c) { pause(); }
    kill(c, SIGKILL);
    waitid(P_ALL, 0, &i, WEXITED);
    printf("%d %d\n", i.si_code, i.si_status);
    c = fork();
    if (!c) {
        setpgid(0, 0);
        abort();
    }
    waitid(P_PID, c, &i, WEXITED);
    printf("%d %d\n", i.si_code == CLD_DUMPED || i.si_code == CLD_KILLED, i.si_status);
    printf("%d %d\n", waitid(P_ALL, 0, &i, WEXITED | WNOHANG), errno);
    return 0;
}
