// SPDX-License-Identifier: Apache-2.0
// F_GETFL, F_SETFL, F_GETFD, F_DUPFD, pipe sizes
#include "check.h"

int main(void) {
    int p[2];
    CHECK(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
    CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC && (fcntl(p[0], F_GETFL) & O_NONBLOCK));
    CHECK(fcntl(p[0], F_SETFL, 0) == 0 && !(fcntl(p[0], F_GETFL) & O_NONBLOCK));
    int d = fcntl(p[0], F_DUPFD, 40), e = fcntl(p[0], F_DUPFD_CLOEXEC, 40);
    CHECK(d == 40 && e == 41 && fcntl(d, F_GETFD) == 0);
    CHECK(dup2(d, 50) == 50 && dup3(d, 51, O_CLOEXEC) == 51 && dup3(d, d, 0) == -1);
    say("pipe size %d set %d\n", fcntl(p[1], F_GETPIPE_SZ), fcntl(p[1], F_SETPIPE_SZ, 8192));
    return 0;
}
