// SPDX-License-Identifier: Apache-2.0
// chmod, fchmod, umask, access, faccessat, fchmodat
#include "check.h"

int main(void) {
    struct stat s;
    mode_t old = umask(027);
    CHECK(umask(027) == 027);
    int fd = open("f", O_CREAT | O_RDWR, 0666);
    CHECK(fstat(fd, &s) == 0 && (s.st_mode & 0777) == 0640);
    CHECK(fchmod(fd, 0444) == 0 && chmod("f", 0711) == 0 && fchmodat(AT_FDCWD, "f", 0600, 0) == 0);
    CHECK(access("f", R_OK) == 0 && faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS) == 0);
    say("umask %03o execute %d\n", old, access("f", X_OK) ? errno : 0);
    return 0;
}
