// SPDX-License-Identifier: Apache-2.0
// a signal to a process group
#include "check.h"

int main() {
    if (!fork()) {
        setpgid(0, 0);
        for (int i = 0; i < 3; i++)
            if (!fork()) {
                pause();
                _exit(0);
            }
        usleep(10000);
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        int n = 0, s;
        while (wait(&s) > 0) n += WTERMSIG(s) == SIGTERM;
        printf("%d\n", n);
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 0;
}
