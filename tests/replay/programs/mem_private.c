// SPDX-License-Identifier: Apache-2.0
// private file mappings: copy on write, not written back
#include "check.h"

int main(void) {
    file_with("f", "0123456789");
    int fd = open("f", O_RDWR);
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), b[11] = "";
    CHECK(m != MAP_FAILED && m[5] == '5' && m[10] == 0);
    m[5] = 'x';
    CHECK(pread(fd, b, 10, 0) == 10 && b[5] == '5');
    CHECK(pwrite(fd, "y", 1, 0) == 1);
    say("%.10s %s\n", m + 1, b);
    return 0;
}
