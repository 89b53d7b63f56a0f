// SPDX-License-Identifier: Apache-2.0
// a working directory that is gone
#include "check.h"

int main(void) {
    char b[PATH_MAX];
    CHECK(mkdir("gone", 0755) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
    CHECK(getcwd(b, sizeof b) == NULL);
    say("%d\n", errno);
    return 0;
}
