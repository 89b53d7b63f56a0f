// SPDX-License-Identifier: Apache-2.0
// a child that stops itself
#include "check.h"

int main() {
    pid_t c = fork();
    if (!c) {
        puts("a");
        fflush(stdout);
        raise(SIGSTOP);
        puts("b");
        fflush(stdout);
        _exit(4);
    }
    int s;
    waitpid(c, &s, WUNTRACED);
    printf("st %x\n", s);
    fflush(stdout);
    kill(c, SIGCONT);
    waitpid(c, &s, 0);
    printf("%x\n", s);
    return 0;
}
