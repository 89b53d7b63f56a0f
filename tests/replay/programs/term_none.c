// SPDX-License-Identifier: Apache-2.0
// terminal calls on what is no terminal
#include "check.h"

int main(void) {
    struct winsize w;
    struct termios t;
    int p[2];
    CHECK(pipe(p) == 0);
    CHECK(ioctl(p[0], TIOCGWINSZ, &w) == -1 && errno == ENOTTY && tcgetattr(p[0], &t) == -1 && errno == ENOTTY && !isatty(p[0]));
    say("no terminal\n");
    return 0;
}
