// SPDX-License-Identifier: Apache-2.0
// openat relative to a directory, O_PATH, O_NOFOLLOW, O_DIRECTORY, errors
#include "check.h"

int main(void) {
    CHECK(mkdir("d", 0755) == 0);
    int d = open("d", O_RDONLY | O_DIRECTORY);
    int f = openat(d, "x", O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(d >= 0 && f >= 0);
    CHECK(openat(d, "x", O_CREAT | O_EXCL | O_RDWR, 0600) == -1 && errno == EEXIST);
    CHECK(symlinkat("x", d, "l") == 0);
    CHECK(openat(d, "l", O_RDONLY | O_NOFOLLOW) == -1 && errno == ELOOP);
    CHECK(openat(d, "x", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
    int p = openat(d, "x", O_PATH);
    char b;
    CHECK(p >= 0 && read(p, &b, 1) == -1 && errno == EBADF);
    say("fds %d %d %d\n", d, f, p);
    return 0;
}
