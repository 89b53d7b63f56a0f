// SPDX-License-Identifier: Apache-2.0
// control-C on a pseudo-terminal
#include "check.h"

static void h(int s) {
    write(1, "int\n", 4);
    _exit(3);
}
int main() {
    int m;
    pid_t c = forkpty(&m, 0, 0, 0);
    if (!c) {
        signal(SIGINT, h);
        write(1, "ready\n", 6);
        for (;;) pause();
    }
    char b[100];
    read(m, b, 100);
    write(m, "\003", 1);
    ssize_t n;
    while ((n = read(m, b, 100)) > 0);
    int s;
    waitpid(c, &s, 0);
    printf("%x\n", s);
    return 0;
}
