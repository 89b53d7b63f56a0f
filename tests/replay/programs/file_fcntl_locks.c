// SPDX-License-Identifier: Apache-2.0
// POSIX record locks between two processes
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    CHECK(fcntl(fd, F_SETLK, &l) == 0);
    pid_t pid = fork();
    if (!pid) {
        struct flock t = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
        CHECK(fcntl(fd, F_SETLK, &t) == -1 && (errno == EAGAIN || errno == EACCES));
        CHECK(fcntl(fd, F_GETLK, &t) == 0 && t.l_type == F_WRLCK && t.l_pid == getppid());
        say("held by %d\n", t.l_pid);
        t = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 1};
        CHECK(fcntl(fd, F_SETLKW, &t) == 0);
        _exit(0);
    }
    CHECK(run_child(pid) == 0);
    return 0;
}
