// SPDX-License-Identifier: Apache-2.0
// mprotect, executing written code, MAP_FIXED over a mapping
#include "check.h"

int main(void) {
    unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};
    unsigned char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(m, code, sizeof code);
    CHECK(mprotect(m, 4096, PROT_READ | PROT_EXEC) == 0);
    CHECK(((int (*)(void))m)() == 42);
    CHECK(mmap(m, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m && m[0] == 0);
    CHECK(mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    CHECK(mprotect((void *)8, 4096, PROT_READ) == -1 && errno == EINVAL);
    say("%p\n", (void *)m);
    return 0;
}
