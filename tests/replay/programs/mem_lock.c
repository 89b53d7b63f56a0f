// SPDX-License-Identifier: Apache-2.0
// mlock, mlockall, mincore
#include "check.h"

int main(void) {
    unsigned char v[4];
    char *m = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m[0] = m[8192] = 1;
    CHECK(mincore(m, 16384, v) == 0);
    int r = mlock(m, 4096), s = mlockall(MCL_CURRENT);
    say("%d%d%d%d %d %d\n", v[0] & 1, v[1] & 1, v[2] & 1, v[3] & 1, r ? errno : 0, s ? errno : 0);
    return 0;
}
