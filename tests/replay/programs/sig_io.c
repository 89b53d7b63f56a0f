// SPDX-License-Identifier: Apache-2.0
// a signal when something can be read
#include "check.h"

static volatile int n;
static void h(int s, siginfo_t *i, void *c) { n++; }
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN + 4, &a, 0);
    int p[2];
    socketpair(1, 1, 0, p);
    fcntl(p[0], F_SETOWN, getpid());
    fcntl(p[0], F_SETSIG, SIGRTMIN + 4);
    fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    write(p[1], "abc", 3);
    while (!n) usleep(100);
    char b[9];
    printf("%d %zd\n", n > 0, read(p[0], b, 9));
    return 0;
}
