// SPDX-License-Identifier: Apache-2.0
// running out of descriptors and of file size
#include "check.h"

int main(void) {
    struct rlimit l = {10, 10}, f = {100, 100};
    int n = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &l) == 0);
    while (open("/dev/null", O_RDONLY) >= 0) n++;
    CHECK(errno == EMFILE);
    for (int i = 3; i < 10; i++) close(i);
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(setrlimit(RLIMIT_FSIZE, &f) == 0);
    char b[200] = "";
    CHECK(write(fd, b, 200) == 100 && write(fd, b, 1) == -1 && errno == EFBIG);
    say("%d descriptors\n", n);
    return 0;
}
