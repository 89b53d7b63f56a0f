// SPDX-License-Identifier: Apache-2.0
// Attributes by the calls that take a directory (setxattrat, getxattrat, listxattrat of Linux 6.13), and sizes of seccomp's notices.
#include "check.h"
#include <linux/seccomp.h>
struct arguments {
    uint64_t value;
    uint32_t size, flags;
};
int main(void) {
    char value[16] = "", names[64] = "";
    uint16_t sizes[3] = {0};
    file_with("f", "x");
    struct arguments set = {(uintptr_t)"given", 5, 0}, get = {(uintptr_t)value, sizeof value, 0};
    long made = syscall(463, AT_FDCWD, "f", 0, "user.a", &set, sizeof set);
    say("set %ld\n", made);
    long got = syscall(464, AT_FDCWD, "f", 0, "user.a", &get, sizeof get);
    say("get %ld %.5s\n", got, value);
    long listed = syscall(465, AT_FDCWD, "f", 0, names, sizeof names);
    say("list %d %d\n", listed > 0, strcmp(names, "user.a") == 0);
    long told = syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes);
    say("sizes %ld %d %d %d\n", told, sizes[0], sizes[1], sizes[2]);
    return 0;
}
