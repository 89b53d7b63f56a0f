// SPDX-License-Identifier: Apache-2.0
// processes that count in a mapped file
#include "check.h"

int main() {
    int a = open("a", O_RDWR | O_CREAT, 0600);
    ftruncate(a, 4096);
    for (int i = 0; i < 3; i++)
        if (!fork()) {
            int f = open("a", O_RDWR);
            int *p = mmap(0, 4096, 3, MAP_SHARED, f, 0);
            for (int k = 0; k < 500; k++) __sync_fetch_and_add(p + 1, 1);
            _exit(0);
        }
    while (wait(0) > 0);
    int v;
    pread(a, &v, 4, 4);
    printf("%d\n", v);
    return 0;
}
