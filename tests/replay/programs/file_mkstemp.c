// SPDX-License-Identifier: Apache-2.0
// mkstemp, mkdtemp, O_TMPFILE: names are made up
#include "check.h"

int main(void) {
    char a[] = "one-XXXXXX", b[] = "two-XXXXXX";
    int fd = mkstemp(a);
    CHECK(fd >= 0 && mkdtemp(b));
    int t = open(".", O_TMPFILE | O_RDWR, 0600);
    say("%s %s %s\n", a, b, t < 0 ? "no O_TMPFILE" : "O_TMPFILE");
    unlink(a);
    rmdir(b);
    return 0;
}
