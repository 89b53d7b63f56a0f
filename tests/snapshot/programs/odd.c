// SPDX-License-Identifier: Apache-2.0
// Mappings that are not simply memory: guard pages without a mapping of their own, a file that was cut off under its mapping, rings
// that the kernel shares with the program, a device, pages that the program itself may not read. Says which there are; then it waits.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define GUARD_INSTALL 102 // MADV_GUARD_INSTALL, Linux 6.13

static char *map(size_t size, int protection, int flags, int fd, off_t offset) {
    char *at = mmap(0, size, protection, flags, fd, offset);
    return at == MAP_FAILED ? 0 : at;
}

int main(void) {
    const int both = PROT_READ | PROT_WRITE, own = MAP_PRIVATE | MAP_ANONYMOUS;
    char *guarded = map(64 * PAGE, both, own, -1, 0);
    memset(guarded, 'g', 64 * PAGE);
    int guard = madvise(guarded + 10 * PAGE, PAGE, GUARD_INSTALL) == 0;

    char name[] = "/tmp/observer-odd-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    if (ftruncate(file, 8 * PAGE) != 0) abort();
    char *cut = map(8 * PAGE, both, MAP_PRIVATE, file, 0), *shared = map(8 * PAGE, both, MAP_SHARED, file, 0);
    memset(cut, 'c', PAGE);
    memset(shared, 's', 8 * PAGE);
    if (ftruncate(file, 2 * PAGE) != 0) abort();

    char *secret = map(4 * PAGE, both, own, -1, 0);
    memset(secret, 'p', 4 * PAGE);
    mprotect(secret, 4 * PAGE, PROT_NONE);

    int device = open("/dev/zero", O_RDWR);
    char *zero = map(4 * PAGE, both, MAP_PRIVATE, device, 0);
    if (zero) zero[PAGE] = 'z';

    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 8, &params);
    char *uring = ring < 0 ? 0 : map(PAGE, both, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct perf_event_attr counter = {.type = PERF_TYPE_SOFTWARE, .size = sizeof counter, .config = PERF_COUNT_SW_DUMMY};
    int event = (int)syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0);
    char *perf = event < 0 ? 0 : map(2 * PAGE, both, MAP_SHARED, event, 0);

    printf("ready %p %d %p %p %p %p %p\n", guarded, guard, cut, secret, zero, uring, perf);
    fflush(stdout);
    for (;;) pause();
}
