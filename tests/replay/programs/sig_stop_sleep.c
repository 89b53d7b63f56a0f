// SPDX-License-Identifier: Apache-2.0
// a sleep that is stopped and continued
#include "check.h"

int main() {
    pid_t c = fork();
    if (!c) {
        struct timespec t = {0, 80000000};
        int r = nanosleep(&t, 0);
        printf("slept %d\n", r);
        fflush(stdout);
        _exit(0);
    }
    usleep(20000);
    kill(c, SIGSTOP);
    int s;
    waitpid(c, &s, WUNTRACED);
    printf("stopped %d %d\n", WIFSTOPPED(s), WSTOPSIG(s));
    kill(c, SIGCONT);
    waitpid(c, &s, WCONTINUED);
    printf("cont %d\n", WIFCONTINUED(s));
    fflush(stdout);
    waitpid(c, &s, 0);
    printf("end %x\n", s);
    return 0;
}
