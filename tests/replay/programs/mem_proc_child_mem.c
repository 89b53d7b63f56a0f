// SPDX-License-Identifier: Apache-2.0
// a child's memory written through /proc
#include "check.h"

static char v[20] = "parent";
int main() {
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (!c) {
        char x;
        read(p[0], &x, 1);
        puts(v);
        fflush(stdout);
        _exit(0);
    }
    char n[40];
    sprintf(n, "/proc/%d/mem", c);
    int f = open(n, O_RDWR);
    printf("%d\n", (int)pwrite(f, "poked", 6, (long)v));
    fflush(stdout);
    write(p[1], "x", 1);
    wait(0);
    return 0;
}
