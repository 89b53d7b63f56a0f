// SPDX-License-Identifier: Apache-2.0
// a read that goes on after a handler
#include "check.h"

static void h(int s) { write(1, "h\n", 2); }
int main() {
    int p[2];
    pipe(p);
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &a, 0);
    if (!fork()) {
        usleep(60000);
        write(p[1], "data", 4);
        _exit(0);
    }
    ualarm(20000, 0);
    char b[9] = {0};
    int n = read(p[0], b, 8);
    printf("%d %s\n", n, b);
    wait(0);
    return 0;
}
