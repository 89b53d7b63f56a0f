// SPDX-License-Identifier: Apache-2.0
// abort
// expect: signal 6
#include "check.h"

int main(void) {
    struct rlimit l = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &l) == 0);
    say("about to\n");
    abort();
    return 0;
}
