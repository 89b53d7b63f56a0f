// SPDX-License-Identifier: Apache-2.0
// open file description locks
#include "check.h"

int main(void) {
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4};
    CHECK(fcntl(a, F_OFD_SETLK, &l) == 0);
    CHECK(fcntl(b, F_OFD_SETLK, &l) == -1 && errno == EAGAIN);
    struct flock g = l;
    CHECK(fcntl(b, F_OFD_GETLK, &g) == 0 && g.l_pid == -1);
    close(a);
    CHECK(fcntl(b, F_OFD_SETLK, &l) == 0);
    say("ofd\n");
    return 0;
}
