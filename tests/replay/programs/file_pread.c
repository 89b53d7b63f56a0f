// SPDX-License-Identifier: Apache-2.0
// pread, preadv, preadv2 leave the position alone
#include "check.h"

int main(void) {
    char a[4] = "", b[4] = "";
    file_with("f", "0123456789");
    int fd = open("f", O_RDONLY);
    struct iovec v[2] = {{a, 3}, {b, 3}};
    CHECK(pread(fd, a, 3, 5) == 3 && !memcmp(a, "567", 3));
    CHECK(preadv(fd, v, 2, 2) == 6 && !memcmp(a, "234", 3) && !memcmp(b, "567", 3));
    CHECK(preadv2(fd, v, 2, 6, 0) == 4 && !memcmp(a, "678", 3));
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    say("%s %s\n", a, b);
    return 0;
}
