// SPDX-License-Identifier: Apache-2.0
// malloc under a limit
#include "check.h"

int main() {
    struct rlimit r = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_AS, &r);
    void *p = malloc(100 << 20);
    printf("%d %d\n", p == 0, errno);
    p = malloc(1 << 20);
    printf("%d\n", p != 0);
    return 0;
}
