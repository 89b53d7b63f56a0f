// SPDX-License-Identifier: Apache-2.0
// addresses that calls cannot use
#include "check.h"

int main() {
    printf("%zd %d\n", write(1, (void *)8, 5), errno);
    printf("%d %d\n", open((void *)8, 0), errno);
    int p[2];
    pipe(p);
    write(p[1], "abc", 3);
    printf("%zd %d\n", read(p[0], (void *)8, 3), errno);
    char *g = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(g + 4096, 4096);
    printf("%zd %d\n", read(p[0], g + 4094, 3), errno);
    printf("%d %d\n", (int)syscall(SYS_clock_gettime, 0, 8), errno);
    printf("%d %d\n", (int)syscall(SYS_nanosleep, 8, 0), errno);
    return 0;
}
