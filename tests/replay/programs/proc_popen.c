// SPDX-License-Identifier: Apache-2.0
// popen reads what a shell prints, system returns its status
#include "check.h"

int main(void) {
    char b[64];
    FILE *f = popen("echo popened $((6 * 7)); exit 9", "r");
    CHECK(f && fgets(b, 64, f));
    int s = pclose(f);
    CHECK(WEXITSTATUS(s) == 9 && !strcmp(b, "popened 42\n"));
    s = system("exit 11");
    CHECK(WEXITSTATUS(s) == 11);
    say("%s", b);
    return 0;
}
