// SPDX-License-Identifier: Apache-2.0
// parts of a mapping
#include "check.h"

int main() {
    char *p = mmap(0, 10 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 3, 40960);
    munmap(p + 4096 * 3, 4096 * 2);
    munmap(p, 1);
    mprotect(p + 4096 * 6, 4096, 1);
    printf("%d %d\n", p[4096], p[4096 * 9]);
    FILE *f = fopen("/proc/self/maps", "r");
    char l[300];
    int n = 0;
    while (fgets(l, 300, f)) n++;
    printf("%d\n", n);
    return 0;
}
