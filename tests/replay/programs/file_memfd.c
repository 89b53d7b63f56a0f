// SPDX-License-Identifier: Apache-2.0
// memfd_create, seals, F_ADD_SEALS, mapping it
#include "check.h"

int main(void) {
    int fd = memfd_create("thing", MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
    char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(m != MAP_FAILED);
    strcpy(m + 4090, "across");
    char b[8] = "";
    CHECK(pread(fd, b, 7, 4090) == 7 && !strcmp(b, "across"));
    munmap(m, 8192);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) == 0 && write(fd, "x", 1) == -1 && errno == EPERM);
    say("%s %x\n", b, fcntl(fd, F_GET_SEALS));
    return 0;
}
