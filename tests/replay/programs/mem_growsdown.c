// SPDX-License-Identifier: Apache-2.0
// a mapping that grows downwards
#include "check.h"

int main() {
    char *p = mmap(0, 4096 * 16, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, 4096 * 16);
    char *g = mmap(p + 4096 * 12, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    for (int i = 0; i < 5; i++) g[-4096 * i] = i;
    puts("ok");
    return 0;
}
