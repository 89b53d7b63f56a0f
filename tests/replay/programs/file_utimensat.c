// SPDX-License-Identifier: Apache-2.0
// utimensat, futimens, utimes set what stat shows
#include "check.h"

int main(void) {
    struct stat s;
    file_with("f", "x");
    struct timespec t[2] = {{1000, 5}, {2000, 7}};
    CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0 && stat("f", &s) == 0);
    CHECK(s.st_atim.tv_sec == 1000 && s.st_mtim.tv_sec == 2000);
    int fd = open("f", O_RDWR);
    struct timespec u[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    CHECK(futimens(fd, u) == 0 && fstat(fd, &s) == 0 && s.st_atim.tv_sec == 1000);
    struct timeval v[2] = {{3, 0}, {4, 0}};
    CHECK(utimes("f", v) == 0 && stat("f", &s) == 0 && s.st_mtim.tv_sec == 4);
    say("ctime %ld.%09ld\n", (long)s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
    return 0;
}
