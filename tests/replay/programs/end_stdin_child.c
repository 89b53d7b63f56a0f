// SPDX-License-Identifier: Apache-2.0
// standard input shared with a child
// input: one\ntwo\nthree\n
#include "check.h"

int main() {
    char c;
    while (read(0, &c, 1) == 1 && c != '\n') write(1, &c, 1);
    fflush(0);
    if (!fork()) { execlp("cat", "cat", (char *)0); }
    wait(0);
    return 0;
}
