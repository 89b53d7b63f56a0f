// SPDX-License-Identifier: Apache-2.0
// open, read to the end, close; the same bytes twice
#include "check.h"

int main(void) {
    char b[64];
    file_with("f", "hello world\n");
    int fd = open("f", O_RDONLY);
    CHECK(read(fd, b, 5) == 5 && !memcmp(b, "hello", 5));
    CHECK(read(fd, b, 64) == 7);
    CHECK(read(fd, b, 64) == 0);
    CHECK(close(fd) == 0 && close(fd) == -1 && errno == EBADF);
    say("read %d\n", fd);
    return 0;
}
