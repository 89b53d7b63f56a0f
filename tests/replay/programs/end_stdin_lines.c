// SPDX-License-Identifier: Apache-2.0
// counts lines of its standard input with stdio
// input: a\nbb\nccc\n
#include "check.h"

int main(void) {
    char b[100];
    int n = 0, l = 0;
    while (fgets(b, 100, stdin)) n++, l += strlen(b);
    printf("%d lines %d bytes\n", n, l);
    CHECK(n == 3);
    return 0;
}
