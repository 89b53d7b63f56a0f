// SPDX-License-Identifier: Apache-2.0
// a daemon
#include "check.h"

int main() {
    int p[2];
    pipe(p);
    if (!fork()) {
        setsid();
        if (fork()) _exit(0);
        chdir("/");
        close(p[0]);
        int n = open("/dev/null", O_RDWR);
        dup2(n, 0);
        usleep(5000);
        dprintf(p[1], "daemon %d %d\n", getppid() != 0, getsid(0) != getpid());
        _exit(0);
    }
    close(p[1]);
    wait(0);
    char b[50];
    ssize_t k;
    while ((k = read(p[0], b, 50)) > 0) write(1, b, k);
    return 0;
}
