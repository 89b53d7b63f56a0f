// SPDX-License-Identifier: Apache-2.0
// signals and waits through pidfds
#include "check.h"

int main() {
    pid_t c = fork();
    if (!c) {
        pause();
        _exit(0);
    }
    int f = syscall(SYS_pidfd_open, c, 0);
    printf("%d\n", (int)syscall(SYS_pidfd_send_signal, f, SIGTERM, 0, 0));
    struct pollfd p = {f, POLLIN};
    printf("%d\n", poll(&p, 1, 5000));
    siginfo_t i;
    printf("%d %d\n", waitid(P_PIDFD, f, &i, WEXITED), i.si_status);
    int q[2];
    pipe(q);
    pid_t d = fork();
    if (!d) {
        char x;
        read(q[0], &x, 1);
        _exit(0);
    }
    f = syscall(SYS_pidfd_open, d, 0);
    int g = syscall(438, f, q[1], 0);
    printf("%d\n", g >= 0 || errno == EPERM);
    write(q[1], "x", 1);
    wait(0);
    return 0;
}
