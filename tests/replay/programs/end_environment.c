// SPDX-License-Identifier: Apache-2.0
// the whole environment, setenv, unsetenv
#include "check.h"

extern char **environ;
int main(void) {
    int n = 0;
    for (char **e = environ; *e; e++) n++;
    CHECK(setenv("NEW", "1", 0) == 0 && !strcmp(getenv("NEW"), "1") && unsetenv("NEW") == 0 && !getenv("NEW"));
    say("%d %s\n", n, getenv("PATH"));
    return 0;
}
