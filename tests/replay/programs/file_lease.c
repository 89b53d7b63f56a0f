// SPDX-License-Identifier: Apache-2.0
// a lease on a file
#include "check.h"

static volatile int n;
static void h(int s) { n++; }
int main() {
    signal(SIGIO, h);
    int f = open("l", O_RDONLY | O_CREAT, 0600);
    printf("%d\n", fcntl(f, F_SETLEASE, F_RDLCK));
    if (!fork()) {
        int g = open("l", O_WRONLY | O_NONBLOCK);
        _exit(g < 0 ? errno : 0);
    }
    int s;
    wait(&s);
    printf("%d %d\n", WEXITSTATUS(s) == EWOULDBLOCK, n);
    printf("%d\n", fcntl(f, F_GETLEASE));
    return 0;
}
