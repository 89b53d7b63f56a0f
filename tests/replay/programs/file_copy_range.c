// SPDX-License-Identifier: Apache-2.0
// copy_file_range between files, with and without offsets
#include "check.h"

int main(void) {
    char b[32] = "";
    file_with("a", "0123456789");
    int x = open("a", O_RDONLY), y = open("b", O_RDWR | O_CREAT, 0644);
    off_t from = 3;
    ssize_t n = copy_file_range(x, &from, y, NULL, 4, 0);
    if (n < 0) { say("errno %d\n", errno); return 0; }
    CHECK(n == 4 && from == 7 && lseek(x, 0, SEEK_CUR) == 0);
    CHECK(pread(y, b, 32, 0) == 4);
    say("%s\n", b);
    return 0;
}
