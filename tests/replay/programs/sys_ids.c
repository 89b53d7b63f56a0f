// SPDX-License-Identifier: Apache-2.0
// getuid and friends, setters with what they are, groups
#include "check.h"
#include <sys/fsuid.h>

int main(void) {
    uid_t r, e, s;
    gid_t g[64];
    CHECK(getresuid(&r, &e, &s) == 0 && r == getuid() && e == geteuid());
    CHECK(setuid(r) == 0 && setgid(getgid()) == 0 && setresuid(-1, -1, -1) == 0 && setreuid(-1, -1) == 0);
    int n = getgroups(64, g), f = setfsuid(-1);
    say("%d %d %d %d groups %d fsuid %d\n", r, e, getgid(), getegid(), n, f);
    return 0;
}
