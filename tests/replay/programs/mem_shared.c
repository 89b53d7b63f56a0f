// SPDX-License-Identifier: Apache-2.0
// shared file mappings: seen by read, msync
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 8192) == 0);
    char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), b[8] = "";
    strcpy(m + 4094, "edge");
    CHECK(pread(fd, b, 5, 4094) == 5 && !strcmp(b, "edge") && pwrite(fd, "EDGE", 4, 4094) == 4 && !strcmp(m + 4094, "EDGE"));
    CHECK(msync(m, 8192, MS_SYNC) == 0 && munmap(m, 8192) == 0);
    say("%s\n", b);
    return 0;
}
