// SPDX-License-Identifier: Apache-2.0
// writing to a pipe that nobody reads: EPIPE when ignored, death when not
// expect: signal 13
#include "check.h"

int main(void) {
    int p[2];
    CHECK(pipe(p) == 0);
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    CHECK(write(p[1], "x", 1) == -1 && errno == EPIPE);
    say("ignored\n");
    signal(SIGPIPE, SIG_DFL);
    CHECK(write(p[1], "x", 1) == -1);
    _exit(97);
    return 0;
}
