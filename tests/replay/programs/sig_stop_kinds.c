// SPDX-License-Identifier: Apache-2.0
// the ways to stop a process
#include "check.h"

int main() {
    int sigs[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    for (int i = 0; i < 3; i++) {
        pid_t c = fork();
        if (!c) {
            setpgid(0, 0);
            raise(sigs[i]);
            _exit(i);
        }
        setpgid(c, c);
        int s;
        waitpid(c, &s, WUNTRACED);
        printf("%x\n", s);
        fflush(stdout);
        kill(c, SIGCONT);
        waitpid(c, &s, 0);
        printf("%x\n", s);
    }
    return 0;
}
