// SPDX-License-Identifier: Apache-2.0
// fixed addresses
#include "check.h"

int main() {
    char *p = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *q = mmap(p, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("%d %d\n", q == MAP_FAILED, errno);
    q = mmap(p, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("%d\n", q == p);
    q = mmap((void *)0x10000000, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    *(int *)q = 5;
    printf("%p %d\n", q, *(int *)q);
    return 0;
}
