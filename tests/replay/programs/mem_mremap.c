// SPDX-License-Identifier: Apache-2.0
// mremap grows, moves, and keeps content
#include "check.h"

int main(void) {
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(m, "kept");
    char *n = mremap(m, 4096, 1 << 20, MREMAP_MAYMOVE);
    CHECK(n != MAP_FAILED && !strcmp(n, "kept") && n[(1 << 20) - 1] == 0);
    char *at = mmap(0, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *o = mremap(n, 1 << 20, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    CHECK(o == at && !strcmp(o, "kept"));
    say("%p %p %p\n", (void *)m, (void *)n, (void *)o);
    return 0;
}
