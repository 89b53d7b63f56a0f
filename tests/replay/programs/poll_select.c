// SPDX-License-Identifier: Apache-2.0
// select and pselect: sets and remaining time
#include "check.h"

int main(void) {
    int p[2];
    fd_set r, w;
    struct timeval t = {0, 15000};
    CHECK(pipe(p) == 0);
    FD_ZERO(&r); FD_ZERO(&w); FD_SET(p[0], &r); FD_SET(p[1], &w);
    CHECK(select(p[1] + 1, &r, &w, NULL, NULL) == 1 && !FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
    FD_ZERO(&r); FD_SET(p[0], &r);
    CHECK(select(p[0] + 1, &r, NULL, NULL, &t) == 0);
    CHECK(write(p[1], "x", 1) == 1);
    FD_SET(p[0], &r);
    t.tv_sec = 5;
    CHECK(select(p[0] + 1, &r, NULL, NULL, &t) == 1);
    say("left %ld.%06ld\n", (long)t.tv_sec, (long)t.tv_usec);
    struct timespec n = {0, 1000};
    CHECK(pselect(0, NULL, NULL, NULL, &n, NULL) == 0);
    return 0;
}
