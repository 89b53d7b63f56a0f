// SPDX-License-Identifier: Apache-2.0
// RLIMIT_CPU ends a loop
// expect: signal 9
#include "check.h"

int main(void) {
    struct rlimit l = {1, 1}, c = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &c) == 0 && setrlimit(RLIMIT_CPU, &l) == 0);
    say("looping\n");
    for (;;) getppid();
    return 0;
}
