// SPDX-License-Identifier: Apache-2.0
// uname, gethostname, getdomainname
#include "check.h"

int main(void) {
    struct utsname u;
    char b[256];
    CHECK(uname(&u) == 0 && gethostname(b, 256) == 0 && !strcmp(b, u.nodename));
    say("%s %s %s %s %s\n", u.sysname, u.nodename, u.release, u.version, u.machine);
    return 0;
}
