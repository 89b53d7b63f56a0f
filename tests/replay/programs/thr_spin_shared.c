// SPDX-License-Identifier: Apache-2.0
// a child that spins on shared memory
#include "check.h"

int main() {
    atomic_int *p = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fork()) {
        long n = 0;
        while (!atomic_load(p)) n++;
        printf("%ld\n", n);
        fflush(stdout);
        _exit(0);
    }
    usleep(10000);
    atomic_store(p, 1);
    wait(0);
    return 0;
}
