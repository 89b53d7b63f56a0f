// SPDX-License-Identifier: Apache-2.0
// which pages are there
#include "check.h"

int main() {
    unsigned char v[10];
    char *p = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d %d\n", mincore(p, 8192, v), v[0] & 1);
    p[0] = 1;
    mincore(p, 8192, v);
    printf("%d %d\n", v[0] & 1, v[1] & 1);
    munmap(p, 8192);
    printf("%d %d\n", mincore(p, 8192, v), errno);
    return 0;
}
