// SPDX-License-Identifier: Apache-2.0
// SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, errors
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(fd, 1 << 20) == 0);
    CHECK(pwrite(fd, "x", 1, 1 << 19) == 1);
    CHECK(lseek(fd, -1, SEEK_SET) == -1 && errno == EINVAL);
    CHECK(lseek(fd, -3, SEEK_END) == (1 << 20) - 3);
    long data = lseek(fd, 0, SEEK_DATA), hole = lseek(fd, 1 << 19, SEEK_HOLE);
    int p[2];
    CHECK(pipe(p) == 0 && lseek(p[0], 0, SEEK_CUR) == -1 && errno == ESPIPE);
    say("data %ld hole %ld\n", data, hole);
    return 0;
}
