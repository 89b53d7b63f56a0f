// SPDX-License-Identifier: Apache-2.0
// shm_open, two mappings of one object
#include "check.h"

int main(void) {
    char n[32];
    sprintf(n, "/s%d", getpid());
    int fd = shm_open(n, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) { say("no shm_open: %d\n", errno); return 0; }
    CHECK(shm_unlink(n) == 0 && ftruncate(fd, 4096) == 0);
    char *a = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    strcpy(a, "seen twice");
    say("%s\n", b);
    return 0;
}
