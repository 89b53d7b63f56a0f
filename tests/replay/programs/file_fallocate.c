// SPDX-License-Identifier: Apache-2.0
// fallocate: allocate, punch a hole
#include "check.h"

int main(void) {
    struct stat s;
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    int r = fallocate(fd, 0, 0, 65536);
    fstat(fd, &s);
    say("%d size %ld\n", r ? errno : 0, (long)s.st_size);
    r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
    say("%d\n", r ? errno : 0);
    return 0;
}
