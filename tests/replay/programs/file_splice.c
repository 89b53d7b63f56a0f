// SPDX-License-Identifier: Apache-2.0
// splice, tee and vmsplice between pipes
#include "check.h"

int main(void) {
    char b[32] = "";
    int p[2], q[2];
    CHECK(pipe(p) == 0 && pipe(q) == 0);
    struct iovec v = {"spliced bytes", 13};
    CHECK(vmsplice(p[1], &v, 1, 0) == 13);
    CHECK(tee(p[0], q[1], 7, 0) == 7);
    CHECK(read(q[0], b, 32) == 7 && !memcmp(b, "spliced", 7));
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(splice(p[0], NULL, fd, NULL, 13, 0) == 13);
    CHECK(pread(fd, b, 32, 0) == 13);
    say("%s\n", b);
    return 0;
}
