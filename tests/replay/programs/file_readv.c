// SPDX-License-Identifier: Apache-2.0
// readv and writev with empty and short parts
#include "check.h"

int main(void) {
    char a[3], b[5], c[9];
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct iovec w[3] = {{"ab", 2}, {"", 0}, {"cdefg", 5}};
    CHECK(writev(fd, w, 3) == 7);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    struct iovec r[3] = {{a, 3}, {b, 0}, {c, 9}};
    CHECK(readv(fd, r, 3) == 7 && !memcmp(a, "abc", 3) && !memcmp(c, "defg", 4));
    CHECK(readv(fd, r, -1) == -1 && errno == EINVAL);
    say("%.3s%.4s\n", a, c);
    return 0;
}
