// SPDX-License-Identifier: Apache-2.0
// a child gives up its rights, or is refused
#include "check.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) { int a = setgid(65534), b = setuid(65534); say("%d %d uid %d %d\n", a ? errno : 0, b ? 1 : 0, getuid(), open("/etc/shadow", O_RDONLY) < 0); _exit(0); }
    CHECK(run_child(pid) == 0);
    return 0;
}
