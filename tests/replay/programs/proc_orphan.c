// SPDX-License-Identifier: Apache-2.0
// a grandchild whose parent ends is given to another
#include "check.h"

int main(void) {
    int p[2];
    CHECK(pipe(p) == 0);
    pid_t pid = fork();
    if (!pid) {
        pid_t me = getpid();
        if (!fork()) { while (getppid() == me) usleep(1000); dprintf(p[1], "new parent %d", getppid() != me); _exit(0); }
        _exit(0);
    }
    run_child(pid);
    close(p[1]);
    char b[64] = "";
    CHECK(read(p[0], b, 63) > 0);
    say("%s\n", b);
    return 0;
}
