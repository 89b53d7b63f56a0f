// SPDX-License-Identifier: Apache-2.0
// walking a tree
#include "check.h"

int main(void) {
    static int count;
    CHECK(mkdir("t", 0755) == 0 && mkdir("t/u", 0755) == 0);
    file_with("t/a", "1"), file_with("t/u/b", "22");
    int visit(const char *p, const struct stat *s, int k, struct FTW *w) { say("%d %d %ld %s\n", w->level, k, (long)s->st_size * !S_ISDIR(s->st_mode), p); count++; return 0; }
    CHECK(nftw("t", visit, 8, FTW_PHYS) == 0 && count == 4);
    return 0;
}
