// SPDX-License-Identifier: Apache-2.0
// where stack, heap, mappings and code lie
#include "check.h"

int main(void) {
    static int data;
    int local;
    void *h = malloc(100), *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("%p %p %p %p %p %p\n", (void *)&local, h, m, (void *)&data, (void *)say, sbrk(0));
    return 0;
}
