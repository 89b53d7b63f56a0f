// SPDX-License-Identifier: Apache-2.0
// wait4 with rusage, waitid with WNOWAIT, WNOHANG, WUNTRACED and WCONTINUED
#include "check.h"

int main(void) {
    struct rusage u;
    siginfo_t i = {0};
    int s;
    pid_t pid = fork();
    if (!pid) { raise(SIGSTOP); usleep(50000); _exit(17); }
    CHECK(waitpid(pid, &s, WUNTRACED) == pid && WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP);
    CHECK(waitpid(pid, &s, WNOHANG) == 0);
    CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &s, WCONTINUED) == pid && WIFCONTINUED(s));
    CHECK(waitid(P_PID, pid, &i, WEXITED | WNOWAIT) == 0 && i.si_pid == pid && i.si_status == 17);
    CHECK(wait4(pid, &s, 0, &u) == pid && WEXITSTATUS(s) == 17);
    CHECK(wait4(pid, &s, 0, &u) == -1 && errno == ECHILD);
    say("waited for %d, uid %d, %ld kB\n", pid, i.si_uid, u.ru_maxrss > 0 ? 1L : 0L);
    return 0;
}
