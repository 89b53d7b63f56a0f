// SPDX-License-Identifier: Apache-2.0
// fsync, fdatasync, sync_file_range, syncfs, posix_fadvise, readahead
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(write(fd, "abc", 3) == 3 && fsync(fd) == 0 && fdatasync(fd) == 0);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    int r = sync_file_range(fd, 0, 3, SYNC_FILE_RANGE_WRITE), a = readahead(fd, 0, 3);
    say("%d %d\n", r, a);
    return 0;
}
