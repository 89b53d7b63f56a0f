// SPDX-License-Identifier: Apache-2.0
// /proc/self/mem, read and written
#include "check.h"

int main() {
    static char v[20] = "before";
    int f = open("/proc/self/mem", O_RDWR);
    char b[20] = {0};
    pread(f, b, 7, (long)v);
    puts(b);
    pwrite(f, "after!", 7, (long)v);
    puts(v);
    lseek(f, (long)v, SEEK_SET);
    write(f, "lseek", 6);
    puts(v);
    return 0;
}
