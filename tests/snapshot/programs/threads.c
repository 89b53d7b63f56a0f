// SPDX-License-Identifier: Apache-2.0
// Four threads, each so many calls deep; memory of every kind, with known content. Then it waits.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#define PAGE 4096
volatile int magic = 0x1234abcd;
char *volatile heap;

static void __attribute__((noinline)) deep(long n) {
    if (n > 0) {
        deep(n - 1);
        __asm__ volatile("");
        return;
    }
    for (;;) pause();
}

static void *worker(void *depth) {
    deep((long)depth);
    return 0;
}

static void fill(char *to, size_t size, uint64_t seed) {
    for (size_t at = 0; at + 8 <= size; at += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(to + at, &seed, 8);
    }
}

static char *map(size_t size, int flags, int fd) {
    char *at = mmap(0, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

int main(void) {
    heap = malloc(3 << 20);
    fill(heap, 3 << 20, 1);
    strcpy(heap, "needle in the heap");
    char *reserved = mmap(0, 16ull << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved != MAP_FAILED) {
        strcpy(reserved + (5ull << 40), "alone in the reserve");
        strcpy(reserved + (11ull << 40) + 3 * PAGE, "alone again");
    }
    int fd = memfd_create("notes", 0);
    if (ftruncate(fd, 64 * PAGE) != 0) abort();
    char *shared = map(64 * PAGE, MAP_SHARED, fd);
    strcpy(shared + 9 * PAGE, "written to the memfd");
    char *other = map(8 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);
    strcpy(other + PAGE, "shared without a file");
    char *hidden = map(4 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    strcpy(hidden, "not to be dumped");
    madvise(hidden, 4 * PAGE, MADV_DONTDUMP);
    char *guard = map(3 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    strcpy(guard, "behind this there is a guard");
    mprotect(guard + PAGE, PAGE, PROT_NONE);
    char *locked = map(2 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    mlock(locked, 2 * PAGE);
    strcpy(locked, "locked in memory");
    char *own = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
    own[100] = 'x';
    int file = open("/etc/hostname", O_RDONLY);
    lseek(file, 2, SEEK_SET);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 1) != 0) abort();
    pthread_t threads[3];
    for (long n = 0; n < 3; n++) pthread_create(&threads[n], 0, worker, (void *)(n + 2));
    puts("ready");
    fflush(stdout);
    deep(6);
}
