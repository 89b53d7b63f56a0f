// SPDX-License-Identifier: Apache-2.0
// ends while a child goes on writing to the same output
#include "check.h"

int main(void) {
    if (!fork()) { usleep(20000); say("the child is last\n"); _exit(0); }
    say("the parent is first\n");
    return 0;
}
