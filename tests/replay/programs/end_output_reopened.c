// SPDX-License-Identifier: Apache-2.0
// standard output opened again
#include "check.h"

int main() {
    int f = open("/proc/self/fd/1", O_WRONLY);
    write(f, "via proc\n", 9);
    f = open("/dev/stdout", O_WRONLY);
    write(f, "via dev\n", 8);
    f = open("/dev/stderr", O_WRONLY);
    write(f, "err\n", 4);
    return 0;
}
