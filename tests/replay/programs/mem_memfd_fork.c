// SPDX-License-Identifier: Apache-2.0
// a memfd that a child writes
#include "check.h"

int main() {
    int f = memfd_create("x", 0);
    ftruncate(f, 8192);
    char *p = mmap(0, 8192, 3, MAP_SHARED, f, 0);
    if (!fork()) {
        pwrite(f, "child", 5, 100);
        p[0] = 'c';
        _exit(0);
    }
    wait(0);
    printf("%c %s\n", p[0], p + 100);
    lseek(f, 0, SEEK_SET);
    char b[200];
    read(f, b, 200);
    printf("%c %s\n", b[0], b + 100);
    return 0;
}
