// SPDX-License-Identifier: Apache-2.0
// a descriptor above FD_SETSIZE
#include "check.h"

int main() {
    struct rlimit l = {2000, 2000};
    setrlimit(RLIMIT_NOFILE, &l);
    int p[2];
    pipe(p);
    int h = fcntl(p[0], F_DUPFD, 1500);
    write(p[1], "x", 1);
    unsigned long b[64] = {0};
    b[h / 64] |= 1ul << (h % 64);
    printf("%d\n", (int)syscall(SYS_select, h + 1, b, 0, 0, 0));
    printf("%d\n", !!(b[h / 64] >> (h % 64) & 1));
    return 0;
}
