// SPDX-License-Identifier: Apache-2.0
// syslog, mount, reboot and the like are refused or answered
#include "check.h"

int main(void) {
    char b[16];
    long r = syscall(SYS_syslog, 10, NULL, 0);
    say("syslog %ld\n", r < 0 ? -(long)errno : 1L);
    CHECK(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0, NULL) == -1);
    say("mount %d\n", errno);
    CHECK(syscall(SYS_reboot, 0, 0, 0, NULL) == -1);
    say("reboot %d %s\n", errno, getcwd(b, 1) ? "" : "small");
    return 0;
}
