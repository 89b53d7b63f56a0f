// SPDX-License-Identifier: Apache-2.0
// link, symlink, readlink, rename, unlink, renameat2
#include "check.h"

int main(void) {
    char b[64] = "";
    struct stat s;
    file_with("a", "x");
    CHECK(link("a", "b") == 0 && stat("a", &s) == 0 && s.st_nlink == 2);
    CHECK(symlink("no/where", "l") == 0 && readlink("l", b, 64) == 8 && !strcmp(b, "no/where"));
    CHECK(rename("b", "c") == 0 && access("b", F_OK) == -1 && errno == ENOENT);
    file_with("z", "other");
    CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "z", RENAME_NOREPLACE) == -1);
    say("noreplace %d\n", errno);
    CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "z", RENAME_EXCHANGE) == 0);
    CHECK(stat("a", &s) == 0 && s.st_size == 5);
    CHECK(unlink("c") == 0 && unlink("c") == -1 && errno == ENOENT);
    CHECK(linkat(AT_FDCWD, "l", AT_FDCWD, "l2", 0) == 0 && unlinkat(AT_FDCWD, "l2", 0) == 0);
    say("%s\n", b);
    return 0;
}
