// SPDX-License-Identifier: Apache-2.0
// copies of standard output
#include "check.h"

int main() {
    int d = dup(1);
    write(d, "dup\n", 4);
    close(1);
    write(d, "after close\n", 12);
    dup2(d, 1);
    puts("back");
    fflush(stdout);
    int e = fcntl(d, F_DUPFD, 20);
    write(e, "f20\n", 4);
    freopen("/dev/null", "w", stdout);
    puts("lost");
    return 0;
}
