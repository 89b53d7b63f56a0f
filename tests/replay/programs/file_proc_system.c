// SPDX-License-Identifier: Apache-2.0
// /proc/uptime, meminfo, loadavg, cpuinfo, stat, version: all change
#include "check.h"

int main(void) {
    char b[65536];
    const char *names[] = {"uptime", "meminfo", "loadavg", "cpuinfo", "stat", "version", "sys/kernel/random/uuid", "sys/kernel/random/boot_id", "sys/kernel/pid_max"};
    for (int i = 0; i < 9; i++) {
        char p[64];
        sprintf(p, "/proc/%s", names[i]);
        int fd = open(p, O_RDONLY), n = fd < 0 ? -1 : read(fd, b, 200);
        say("%s %d %.*s\n", p, n, n > 60 ? 60 : n < 0 ? 0 : n, b);
    }
    return 0;
}
