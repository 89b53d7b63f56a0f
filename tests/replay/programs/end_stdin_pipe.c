// SPDX-License-Identifier: Apache-2.0
// copies its standard input
// input: line one\nline two\nno newline
#include "check.h"

int main(void) {
    char b[16];
    for (ssize_t n; (n = read(0, b, 16)) > 0;) CHECK(write(1, b, n) == n);
    say("|end\n");
    return 0;
}
