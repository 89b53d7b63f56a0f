// SPDX-License-Identifier: Apache-2.0
// what /proc/self tells
#include "check.h"

int main() {
    char *n[] = {"stat",    "status",      "cmdline",   "comm",     "environ",    "limits",        "maps",
                 "smaps",   "io",          "mountinfo", "cgroup",   "oom_score",  "wchan",         "statm",
                 "sched",   "schedstat",   "auxv",      "loginuid", "uid_map",    "mounts",        "syscall",
                 "stack",   "personality", "numa_maps", "pagemap",  "clear_refs", "timerslack_ns", "net/dev",
                 "net/tcp", "net/unix"};
    char b[100000], p[99];
    for (int i = 0; i < sizeof n / 8; i++) {
        sprintf(p, "/proc/self/%s", n[i]);
        int f = open(p, 0);
        ssize_t r = read(f, b, sizeof b);
        unsigned h = 0;
        for (int k = 0; k < r; k++) h = h * 31 + (unsigned char)b[k];
        printf("%s %zd %u\n", n[i], r, h);
        close(f);
    }
    return 0;
}
