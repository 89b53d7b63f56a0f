// SPDX-License-Identifier: Apache-2.0
// statvfs and fstatfs of here and of /proc
#include "check.h"

int main(void) {
    struct statvfs a, b;
    CHECK(statvfs(".", &a) == 0 && statvfs("/proc", &b) == 0);
    say("%lu %lu %lu\n", a.f_bsize, (long)a.f_bfree, b.f_bsize);
    return 0;
}
