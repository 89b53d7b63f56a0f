// SPDX-License-Identifier: Apache-2.0
// what can be written to /proc/self
#include "check.h"

int main() {
    int f = open("/proc/self/comm", O_WRONLY);
    write(f, "renamed", 7);
    char b[20] = {0};
    prctl(PR_GET_NAME, b);
    puts(b);
    f = open("/proc/self/oom_score_adj", O_RDWR);
    printf("%zd\n", write(f, "500", 3));
    f = open("/proc/self/clear_refs", O_WRONLY);
    printf("%zd\n", write(f, "1", 1));
    f = open("/proc/self/coredump_filter", O_RDWR);
    printf("%zd\n", write(f, "0x33", 4));
    return 0;
}
