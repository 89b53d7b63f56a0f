// SPDX-License-Identifier: Apache-2.0
// SIGSTOP and SIGCONT of a child that works
#include "check.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) { for (int i = 0; i < 50; i++) usleep(1000); _exit(8); }
    usleep(5000);
    CHECK(kill(pid, SIGSTOP) == 0);
    int s;
    CHECK(waitpid(pid, &s, WUNTRACED) == pid && WIFSTOPPED(s));
    usleep(5000);
    CHECK(kill(pid, SIGCONT) == 0 && WEXITSTATUS(run_child(pid)) == 8);
    say("stopped and continued\n");
    return 0;
}
