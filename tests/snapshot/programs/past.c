// SPDX-License-Identifier: Apache-2.0
// Changes its memory between calls, starts a thread and a child: what it was at each call is known.
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *heap;

static void *wait_here(void *unused) {
    (void)unused;
    write(1, "thread\n", 7);
    pause();
    return 0;
}

static void second_part(void) {
    strcpy(heap + 8192, "second words");
    write(1, "two\n", 4);
}

int main(void) {
    heap = calloc(1, 1 << 20);
    strcpy(heap, "first words");
    write(1, "one\n", 4);
    int file = open("/etc/hostname", O_RDONLY);
    second_part();
    pthread_t thread;
    pthread_create(&thread, 0, wait_here, 0);
    usleep(20000);
    if (fork() == 0) {
        strcpy(heap, "child words");
        write(1, "child\n", 6);
        _exit(0);
    }
    wait(0);
    memset(heap + 8192, 0, 64);
    close(file);
    write(1, "three\n", 6);
    return 0;
}
