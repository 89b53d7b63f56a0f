// SPDX-License-Identifier: Apache-2.0
// mkdir, rmdir, chdir, fchdir, getcwd
#include "check.h"

int main(void) {
    char b[PATH_MAX], c[PATH_MAX];
    CHECK(getcwd(b, sizeof b));
    int here = open(".", O_RDONLY);
    CHECK(mkdir("d", 0700) == 0 && mkdir("d", 0700) == -1 && errno == EEXIST);
    CHECK(mkdirat(AT_FDCWD, "d/e", 0700) == 0 && rmdir("d") == -1 && errno == ENOTEMPTY);
    CHECK(chdir("d/e") == 0 && getcwd(c, sizeof c) && !strcmp(c + strlen(b), "/d/e"));
    CHECK(fchdir(here) == 0 && rmdir("d/e") == 0 && rmdir("d") == 0);
    CHECK(getcwd(c, 1) == NULL && errno == ERANGE);
    say("%s\n", b);
    return 0;
}
