// SPDX-License-Identifier: Apache-2.0
// poll: timeouts, hang-ups, invalid descriptors; ppoll
#include "check.h"

int main(void) {
    int p[2];
    CHECK(pipe(p) == 0);
    struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {99, POLLIN, 0}};
    CHECK(poll(f, 3, -1) == 2 && f[1].revents == POLLOUT && f[2].revents == POLLNVAL);
    CHECK(poll(f, 1, 10) == 0);
    close(p[1]);
    struct timespec t = {1, 0};
    CHECK(ppoll(f, 1, &t, NULL) == 1 && f[0].revents == POLLHUP);
    say("poll\n");
    return 0;
}
