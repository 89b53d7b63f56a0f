// SPDX-License-Identifier: Apache-2.0
// a named pipe between two processes
#include "check.h"

int main(void) {
    char b[32] = "";
    CHECK(mkfifo("q", 0600) == 0);
    pid_t pid = fork();
    if (!pid) { int w = open("q", O_WRONLY); CHECK(write(w, "through a fifo", 14) == 14); _exit(0); }
    int r = open("q", O_RDONLY);
    CHECK(read(r, b, 32) == 14 && read(r, b + 14, 8) == 0 && run_child(pid) == 0);
    say("%s\n", b);
    return 0;
}
