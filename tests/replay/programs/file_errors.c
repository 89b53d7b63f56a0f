// SPDX-License-Identifier: Apache-2.0
// paths that are absent, too long, not directories, not permitted
#include "check.h"

int main(void) {
    char long_name[5000];
    memset(long_name, 'x', 4999), long_name[4999] = 0;
    CHECK(open("none", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(open(long_name, O_RDONLY) == -1 && errno == ENAMETOOLONG);
    CHECK(open("/etc/passwd/x", O_RDONLY) == -1 && errno == ENOTDIR);
    CHECK(open(".", O_WRONLY) == -1 && errno == EISDIR);
    CHECK(open((char *)8, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(write(1, (char *)8, 4) == -1 && errno == EFAULT);
    CHECK(read(77, long_name, 1) == -1 && errno == EBADF);
    say("errors\n");
    return 0;
}
