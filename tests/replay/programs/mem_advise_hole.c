// SPDX-License-Identifier: Apache-2.0
// madvise(2) with a hole or a locked page in the range fails, and has given up other pages; process_madvise(2) on itself.
#include "check.h"
static char *pages(void) {
    char *start = mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    memset(start, 'x', 6 * 4096);
    return start;
}
int main(void) {
    char *holed = pages();
    CHECK(munmap(holed + 2 * 4096, 4096) == 0);
    CHECK(madvise(holed, 6 * 4096, MADV_DONTNEED) == -1 && errno == ENOMEM);
    say("hole: %d %d %d\n", holed[0], holed[4096], holed[5 * 4096]);
    char *locked = pages();
    if (mlock(locked + 2 * 4096, 4096) == 0) {
        int result = madvise(locked, 6 * 4096, MADV_DONTNEED);
        say("locked: %d, %d %d %d\n", result, locked[0], locked[2 * 4096], locked[5 * 4096]);
    }
    char *self = pages();
    int process = syscall(SYS_pidfd_open, getpid(), 0);
    struct iovec part = {self, 8192};
    long result = process < 0 ? -1 : syscall(SYS_process_madvise, process, &part, 1, MADV_DONTNEED, 0);
    say("self: %ld, %d %d %d\n", result, self[0], self[4096], self[8192]);
    return 0;
}
