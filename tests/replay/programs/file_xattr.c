// SPDX-License-Identifier: Apache-2.0
// set, get, list and remove extended attributes
#include "check.h"

int main(void) {
    char b[64] = "";
    file_with("f", "x");
    if (setxattr("f", "user.colour", "green", 5, 0)) { say("no xattr: %d\n", errno); return 0; }
    CHECK(getxattr("f", "user.colour", b, 64) == 5 && !strcmp(b, "green"));
    CHECK(listxattr("f", b, 64) >= 12);
    CHECK(setxattr("f", "user.colour", "red", 3, XATTR_CREATE) == -1 && errno == EEXIST);
    CHECK(removexattr("f", "user.colour") == 0 && getxattr("f", "user.colour", b, 64) == -1);
    say("xattr %d\n", errno);
    return 0;
}
