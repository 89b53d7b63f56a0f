// SPDX-License-Identifier: Apache-2.0
// Takes up the addresses that the thread and memory sanitizers take up: nearly all that the kernel gives nobody.
#include "check.h"
int main(void) {
    const uintptr_t ranges[][2] = {
        {0x010000000000, 0x500000000000}, {0x568000000000, 0x7b0000000000}, {0x500000000000, 0x510000000000},
    };
    for (int n = 0; n < 3; n++) {
        size_t length = ranges[n][1] - ranges[n][0];
        void *want = (void *)ranges[n][0];
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
        char *got = mmap(want, length, PROT_NONE, flags, -1, 0);
        CHECK(got == want);
        CHECK(mprotect(got + length / 2, 4096, PROT_READ | PROT_WRITE) == 0);
        got[length / 2] = 3;
        say("%zx bytes\n", length);
    }
    return 0;
}
