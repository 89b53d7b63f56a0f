// SPDX-License-Identifier: Apache-2.0
// renameat2 with flags
#include "check.h"

int main() {
    file_with("a", "A");
    file_with("b", "B");
    printf("%d\n", (int)syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2));
    printf("%d %d\n", (int)syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 1), errno);
    char c;
    int f = open("a", 0);
    read(f, &c, 1);
    printf("%c\n", c);
    return 0;
}
