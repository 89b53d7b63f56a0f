// SPDX-License-Identifier: Apache-2.0
// FIONREAD, FIONBIO, FIOCLEX, SIOCGIFCONF, an unknown ioctl
#include "check.h"

int main(void) {
    int p[2], n = 0, on = 1;
    char b[8];
    CHECK(pipe(p) == 0 && write(p[1], "12345", 5) == 5 && ioctl(p[0], FIONREAD, &n) == 0 && n == 5);
    CHECK(read(p[0], b, 5) == 5 && ioctl(p[0], FIONBIO, &on) == 0 && read(p[0], b, 1) == -1 && errno == EAGAIN);
    CHECK(ioctl(p[0], FIOCLEX) == 0 && fcntl(p[0], F_GETFD) == FD_CLOEXEC);
    CHECK(ioctl(p[0], 0x12345678, &n) == -1);
    say("ioctl %d\n", errno);
    return 0;
}
