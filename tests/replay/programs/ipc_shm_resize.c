// SPDX-License-Identifier: Apache-2.0
// POSIX shared memory that grows
#include "check.h"

int main() {
    char n[40];
    sprintf(n, "/r5a%d", getpid());
    int f = shm_open(n, O_RDWR | O_CREAT, 0600);
    ftruncate(f, 4096);
    char *p = mmap(0, 16384, 3, MAP_SHARED, f, 0);
    p[1] = 1;
    ftruncate(f, 16384);
    p[10000] = 7;
    printf("%d\n", p[10000]);
    lseek(f, 0, 0);
    shm_unlink(n);
    return 0;
}
