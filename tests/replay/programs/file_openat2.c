// SPDX-License-Identifier: Apache-2.0
// openat2 with RESOLVE_BENEATH
#include "check.h"

int main(void) {
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    file_with("f", "abc");
    int fd = syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how);
    if (fd < 0) { say("no openat2: %d\n", errno); return 0; }
    CHECK(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how) == -1 && errno == EXDEV);
    say("openat2 %d\n", fd);
    return 0;
}
