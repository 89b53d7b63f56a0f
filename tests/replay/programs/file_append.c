// SPDX-License-Identifier: Apache-2.0
// O_APPEND from two descriptors
#include "check.h"

int main(void) {
    char b[16] = "";
    int x = open("f", O_WRONLY | O_CREAT | O_APPEND, 0644), y = open("f", O_WRONLY | O_APPEND);
    CHECK(write(x, "a", 1) == 1 && write(y, "b", 1) == 1 && write(x, "c", 1) == 1);
    int r = open("f", O_RDONLY);
    CHECK(read(r, b, 16) == 3);
    say("%s\n", b);
    return 0;
}
