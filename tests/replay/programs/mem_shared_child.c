// SPDX-License-Identifier: Apache-2.0
// a shared file mapping between two processes that opened it apart
#include "check.h"

int main(void) {
    file_with("f", "................");
    pid_t pid = fork();
    int fd = open("f", O_RDWR);
    volatile char *m = mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!pid) { m[3] = 'c'; _exit(0); }
    CHECK(run_child(pid) == 0 && m[3] == 'c');
    say("%c\n", m[3]);
    return 0;
}
