// SPDX-License-Identifier: Apache-2.0
// Forks, executes, maps, unmaps, moves, grows and gives back memory without end; threads come and go.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *passing(void *nothing) {
    char *at = malloc(300000);
    memset(at, 7, 300000);
    free(at);
    return nothing;
}

int main(void) {
    puts("ready");
    fflush(stdout);
    for (unsigned turn = 0;; turn++) {
        size_t size = (1 + turn % 64) * 65536;
        char *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(at, (int)turn, size);
        madvise(at, size / 2, MADV_DONTNEED);
        at = mremap(at, size, size * 2, MREMAP_MAYMOVE);
        mprotect(at, 4096, PROT_READ);
        if (turn % 3 == 0 && sbrk(65536) != (void *)-1) memset((char *)sbrk(0) - 65536, 3, 65536);
        if (turn % 7 == 0) {
            pid_t child = fork();
            if (child == 0) {
                if (turn % 2) execl("/bin/true", "true", (char *)0);
                _exit(0);
            }
            waitpid(child, 0, 0);
        }
        pthread_t thread;
        if (turn % 5 == 0 && pthread_create(&thread, 0, passing, 0) == 0) pthread_join(thread, 0);
        munmap(at, size * 2);
        if (turn % 3 == 0 && turn > 30) sbrk(-65536);
    }
}
