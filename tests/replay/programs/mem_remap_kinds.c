// SPDX-License-Identifier: Apache-2.0
// what mremap can do
#include "check.h"

int main() {
    char *p = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(p, "hello");
    strcpy(p + 4096, "two");
    char *q = mremap(p, 8192, 1 << 20, MREMAP_MAYMOVE);
    printf("%s %s\n", q, q + 4096);
    q = mremap(q, 1 << 20, 4096, 0);
    puts(q);
    char *t = mmap(0, 4096 * 4, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    q = mremap(q, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, t + 4096);
    printf("%s %d\n", q, q == t + 4096);
    char *d = mremap(q, 4096, 4096, MREMAP_MAYMOVE | 4);
    printf("%s [%s]\n", d, q);
    int *s = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *s = 9;
    int *s2 = mremap(s, 0, 4096, MREMAP_MAYMOVE);
    printf("%d\n", s2 == MAP_FAILED ? -1 : *s2);
    if (s2 != MAP_FAILED) {
        *s2 = 11;
        printf("%d\n", *s);
    }
    return 0;
}
