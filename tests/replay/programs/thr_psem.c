// SPDX-License-Identifier: Apache-2.0
// a process-shared semaphore in a mapped file
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 4096) == 0);
    sem_t *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(s != MAP_FAILED && sem_init(s, 1, 0) == 0);
    pid_t pid = fork();
    if (!pid) { usleep(5000); CHECK(sem_post(s) == 0); _exit(0); }
    CHECK(sem_wait(s) == 0 && run_child(pid) == 0);
    say("posted\n");
    return 0;
}
