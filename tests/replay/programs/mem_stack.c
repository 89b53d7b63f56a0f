// SPDX-License-Identifier: Apache-2.0
// deep recursion and alloca
#include "check.h"

static int deep(int n) { volatile char b[1000]; b[n % 1000] = n; return n ? deep(n - 1) + b[n % 1000] : 0; }
int main(void) {
    int sum = deep(4000);
    char *a = alloca(1 << 20);
    memset(a, 1, 1 << 20);
    say("%d %d\n", sum, a[12345]);
    return 0;
}
