// SPDX-License-Identifier: Apache-2.0
// a pseudo-terminal: size, modes, echo, a session on it
#include "check.h"

int main(void) {
    int m, s;
    char name[64], b[64] = "";
    struct winsize w = {24, 80, 0, 0}, g;
    struct termios t;
    if (openpty(&m, &s, name, NULL, &w)) { say("no pty: %d\n", errno); return 0; }
    CHECK(ioctl(s, TIOCGWINSZ, &g) == 0 && g.ws_col == 80 && isatty(s) && !strcmp(ttyname(s), name));
    w.ws_col = 100;
    CHECK(ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(s, TIOCGWINSZ, &g) == 0 && g.ws_col == 100);
    CHECK(tcgetattr(s, &t) == 0);
    t.c_lflag &= ~ECHO;
    CHECK(tcsetattr(s, TCSANOW, &t) == 0 && write(m, "typed\n", 6) == 6 && read(s, b, 64) == 6);
    say("%s %s", name, b);
    return 0;
}
