// SPDX-License-Identifier: Apache-2.0
// unshare: a user namespace or a refusal
#include "check.h"

int main(void) {
    int r = unshare(CLONE_FS | CLONE_FILES);
    CHECK(r == 0);
    r = unshare(CLONE_NEWUSER);
    say("%d\n", r ? errno : 0);
    return 0;
}
