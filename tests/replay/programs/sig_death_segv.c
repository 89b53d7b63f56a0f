// SPDX-License-Identifier: Apache-2.0
// dies of a null pointer
// expect: signal 11
#include "check.h"

int main(void) {
    struct rlimit l = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &l) == 0);
    say("about to\n");
    *(volatile int *)8 = 1;
    return 0;
}
