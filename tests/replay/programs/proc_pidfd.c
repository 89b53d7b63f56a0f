// SPDX-License-Identifier: Apache-2.0
// pidfd_open, poll on it, pidfd_send_signal, waitid(P_PIDFD)
#include "check.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) { pause(); _exit(0); }
    int fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) { say("no pidfd_open: %d\n", errno); kill(pid, SIGKILL); return 0; }
    struct pollfd f = {fd, POLLIN, 0};
    CHECK(poll(&f, 1, 0) == 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0);
    CHECK(poll(&f, 1, -1) == 1);
    siginfo_t i;
    CHECK(waitid(3, fd, &i, WEXITED) == 0 && i.si_status == SIGKILL);
    say("pidfd %d of %d\n", fd, pid);
    return 0;
}
