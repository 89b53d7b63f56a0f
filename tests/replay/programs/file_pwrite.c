// SPDX-License-Identifier: Apache-2.0
// pwrite beyond the end makes a hole
#include "check.h"

int main(void) {
    char b[20];
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(pwrite(fd, "end", 3, 10) == 3);
    CHECK(lseek(fd, 0, SEEK_END) == 13);
    CHECK(pread(fd, b, 20, 0) == 13);
    for (int i = 0; i < 10; i++) CHECK(b[i] == 0);
    struct iovec v[2] = {{"x", 1}, {"y", 1}};
    CHECK(pwritev(fd, v, 2, 1) == 2 && pwritev2(fd, v, 2, 3, 0) == 2);
    CHECK(pread(fd, b, 5, 0) == 5 && !memcmp(b, "\0xyxy", 5));
    say("size %ld\n", (long)lseek(fd, 0, SEEK_END));
    return 0;
}
