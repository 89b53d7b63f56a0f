// SPDX-License-Identifier: Apache-2.0
// a process that may not be looked into
#include "check.h"

int main() {
    prctl(PR_SET_DUMPABLE, 0);
    int *p = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fork()) {
        *p = 5;
        _exit(0);
    }
    wait(0);
    printf("%d\n", *p);
    char b[100];
    int f = open("/proc/self/stat", 0);
    printf("%d\n", read(f, b, 100) > 0);
    int g = open("x", O_RDWR | O_CREAT, 0600);
    ftruncate(g, 4096);
    char *q = mmap(0, 4096, 3, MAP_SHARED, g, 0);
    *q = 'r';
    read(g, b, 1);
    printf("%c\n", b[0]);
    return 0;
}
