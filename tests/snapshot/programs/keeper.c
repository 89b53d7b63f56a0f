// SPDX-License-Identifier: Apache-2.0
// Counts in memory and in a file at once: whoever sees both at one instant sees them equal, or the file one behind.
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct page {
    char mark[16];
    volatile uint64_t count;
};

int main(void) {
    struct page *page = mmap((void *)0x100000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int file = open("/count", O_RDWR | O_CREAT, 0600);
    memcpy(page->mark, "keeps both equal", 16);
    for (;;) {
        uint64_t next = page->count + 1;
        page->count = next;
        pwrite(file, &next, sizeof next, 0);
        if (next % 64 == 0)
            usleep(500);
    }
}
