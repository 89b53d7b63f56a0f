// SPDX-License-Identifier: Apache-2.0
// signals read from a descriptor
#include "check.h"

int main(void) {
    sigset_t s;
    struct signalfd_siginfo i[4];
    sigemptyset(&s), sigaddset(&s, SIGUSR1), sigaddset(&s, SIGCHLD);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    int fd = signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(read(fd, i, sizeof i) == -1 && errno == EAGAIN);
    pid_t pid = fork();
    if (!pid) { kill(getppid(), SIGUSR1); _exit(6); }
    run_child(pid);
    ssize_t n = read(fd, i, sizeof i);
    CHECK(n > 0);
    for (unsigned k = 0; k < n / sizeof *i; k++) say("%u from %u status %d\n", i[k].ssi_signo, i[k].ssi_pid, i[k].ssi_status);
    return 0;
}
