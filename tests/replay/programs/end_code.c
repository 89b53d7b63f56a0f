// SPDX-License-Identifier: Apache-2.0
// every exit status that there is
#include "check.h"

int main(void) {
    for (int i = 0; i < 256; i++) { pid_t pid = fork(); if (!pid) _exit(i); CHECK(WEXITSTATUS(run_child(pid)) == i); }
    say("256\n");
    return 0;
}
