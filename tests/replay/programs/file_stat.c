// SPDX-License-Identifier: Apache-2.0
// stat, lstat, fstat, fstatat, statx agree; times and inodes are printed
#include "check.h"

int main(void) {
    struct stat a, b, c;
    struct statx x;
    file_with("f", "abc");
    CHECK(symlink("f", "l") == 0);
    int fd = open("f", O_RDONLY);
    CHECK(stat("f", &a) == 0 && lstat("l", &b) == 0 && fstat(fd, &c) == 0);
    CHECK(S_ISLNK(b.st_mode) && a.st_ino == c.st_ino && a.st_ino != b.st_ino);
    CHECK(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &x) == 0);
    CHECK(x.stx_ino == b.st_ino);
    CHECK(fstatat(AT_FDCWD, "l", &b, 0) == 0 && b.st_ino == a.st_ino);
    say("ino %lu mtime %ld.%09ld dev %lu btime %lld\n", (long)a.st_ino, (long)a.st_mtim.tv_sec, a.st_mtim.tv_nsec, (long)a.st_dev, (long long)x.stx_btime.tv_sec);
    return 0;
}
