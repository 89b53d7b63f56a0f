// SPDX-License-Identifier: Apache-2.0
// a child that counts until its parent sends a signal
#include "check.h"

volatile unsigned long n;
void h(int s) {
    printf("got %d at %lu\n", s, n);
    fflush(stdout);
    _exit(3);
}
int main() {
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (!c) {
        signal(SIGUSR1, h);
        write(p[1], "x", 1);
        for (;;) n++;
    }
    char b;
    read(p[0], &b, 1);
    usleep(20000);
    kill(c, SIGUSR1);
    int st;
    waitpid(c, &st, 0);
    printf("%x\n", st);
    return 0;
}
