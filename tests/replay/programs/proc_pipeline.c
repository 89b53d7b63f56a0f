// SPDX-License-Identifier: Apache-2.0
// three processes in a pipeline, as a shell makes one
#include "check.h"

int main(void) {
    int a[2], b[2];
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    if (!fork()) { dup2(a[1], 1); close(a[0]), close(a[1]), close(b[0]), close(b[1]); for (int i = 0; i < 2000; i++) printf("%d\n", i * 7919 % 2000); return 0; }
    if (!fork()) { dup2(a[0], 0), dup2(b[1], 1); close(a[0]), close(a[1]), close(b[0]), close(b[1]); execlp("sort", "sort", "-n", (char *)0); _exit(97); }
    close(a[0]), close(a[1]), close(b[1]);
    FILE *f = fdopen(b[0], "r");
    int n, count = 0;
    while (fscanf(f, "%d", &n) == 1) { CHECK(n == count); count++; }
    while (wait(0) > 0) {}
    say("%d lines\n", count);
    return 0;
}
