// SPDX-License-Identifier: Apache-2.0
// settings of a terminal
#include "check.h"

#include <termios.h>
int main() {
    int m, s;
    openpty(&m, &s, 0, 0, 0);
    struct termios t;
    tcgetattr(s, &t);
    printf("%x %x\n", t.c_lflag, t.c_iflag);
    cfmakeraw(&t);
    cfsetspeed(&t, B9600);
    tcsetattr(s, TCSANOW, &t);
    tcgetattr(m, &t);
    printf("%x %d\n", t.c_lflag, cfgetospeed(&t) == B9600);
    write(m, "abc", 3);
    char b[4] = {0};
    read(s, b, 3);
    puts(b);
    tcflush(s, TCIOFLUSH);
    tcdrain(s);
    tcsendbreak(s, 0);
    printf("%s\n", isatty(s) ? "tty" : "no");
    int q;
    ioctl(m, TIOCOUTQ, &q);
    printf("%d\n", q);
    return 0;
}
