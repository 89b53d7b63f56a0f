// SPDX-License-Identifier: Apache-2.0
// ftruncate and truncate, shrinking and growing
#include "check.h"

int main(void) {
    struct stat s;
    file_with("f", "0123456789");
    CHECK(truncate("f", 4) == 0 && stat("f", &s) == 0 && s.st_size == 4);
    int fd = open("f", O_RDWR);
    CHECK(ftruncate(fd, 8192) == 0 && fstat(fd, &s) == 0);
    say("size %ld blocks %ld inode %lu\n", (long)s.st_size, (long)s.st_blocks, (unsigned long)s.st_ino);
    return 0;
}
