// SPDX-License-Identifier: Apache-2.0
// a private mapping of a file that is cut short
#include "check.h"

static sigjmp_buf j;
static void h(int s) { siglongjmp(j, 1); }
int main() {
    signal(SIGBUS, h);
    int f = open("f", O_RDWR | O_CREAT, 0600);
    write(f, "x", 1);
    volatile char *p = mmap(0, 12288, 3, MAP_PRIVATE, f, 0);
    printf("%d\n", p[0]);
    if (!sigsetjmp(j, 1)) printf("%d\n", p[5000]);
    else puts("bus");
    ftruncate(f, 0);
    if (!sigsetjmp(j, 1)) printf("%d\n", p[0]);
    else puts("bus2");
    return 0;
}
