// SPDX-License-Identifier: Apache-2.0
// two processes that spin for each other
#include "check.h"

int main() {
    atomic_int *p = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fork()) {
        for (int i = 0; i < 30; i++) {
            while (atomic_load(p) != 2 * i + 1);
            atomic_store(p, 2 * i + 2);
        }
        _exit(0);
    }
    for (int i = 0; i < 30; i++) {
        atomic_store(p, 2 * i + 1);
        while (atomic_load(p) != 2 * i + 2);
    }
    wait(0);
    printf("%d\n", *p);
    return 0;
}
