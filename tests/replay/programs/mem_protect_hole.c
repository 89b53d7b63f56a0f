// SPDX-License-Identifier: Apache-2.0
// mprotect(2) over a hole fails, and has changed what lies before it; the other calls about mappings that fail half way as well.
#include "check.h"
static sigjmp_buf back;
static void handler(int number) { siglongjmp(back, number); }
static const char *touch(volatile char *at) {
    if (sigsetjmp(back, 1)) return "faults";
    *at = 2;
    return "is written";
}
static char *pages(size_t count) {
    char *start = mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    return start;
}
int main(void) {
    signal(SIGSEGV, handler);
    char *start = pages(4);
    CHECK(munmap(start + 2 * 4096, 4096) == 0);
    CHECK(mprotect(start, 4 * 4096, PROT_READ) == -1 && errno == ENOMEM);
    say("before the hole %s, after it %s\n", touch(start), touch(start + 3 * 4096));
    char *target = pages(2), *gone = pages(1);
    *target = 5;
    CHECK(munmap(gone, 4096) == 0);
    CHECK(mremap(gone, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED);
    say("the place to move to %s\n", touch(target));
    char *sealed = pages(3);
    if (syscall(462, sealed + 4096, 4096, 0) == 0) { // mseal
        int result = mprotect(sealed, 3 * 4096, PROT_READ);
        say("sealed: %d, before %s, after %s\n", result, touch(sealed), touch(sealed + 8192));
    }
    return 0;
}
