// SPDX-License-Identifier: Apache-2.0
// a lock that is waited for
#include "check.h"

int main() {
    int f = open("l", O_RDWR | O_CREAT, 0600);
    struct flock l = {F_WRLCK, SEEK_SET, 0, 10};
    fcntl(f, F_SETLK, &l);
    if (!fork()) {
        struct flock g = {F_WRLCK, SEEK_SET, 0, 10};
        fcntl(f, F_GETLK, &g);
        printf("held %d\n", g.l_pid == getppid());
        fflush(stdout);
        l.l_type = F_WRLCK;
        fcntl(f, F_SETLKW, &l);
        puts("got");
        fflush(stdout);
        _exit(0);
    }
    usleep(20000);
    puts("release");
    fflush(stdout);
    l.l_type = F_UNLCK;
    fcntl(f, F_SETLK, &l);
    wait(0);
    return 0;
}
