// SPDX-License-Identifier: Apache-2.0
// mappings of /dev/zero
#include "check.h"

int main() {
    int f = open("/dev/zero", O_RDWR);
    char *p = mmap(0, 8192, 3, MAP_PRIVATE, f, 0), *q = mmap(0, 8192, 3, MAP_SHARED, f, 0);
    p[1] = 2;
    q[1] = 3;
    if (!fork()) {
        q[2] = 9;
        p[2] = 9;
        _exit(0);
    }
    wait(0);
    printf("%d %d %d %d\n", p[1], q[1], p[2], q[2]);
    return 0;
}
