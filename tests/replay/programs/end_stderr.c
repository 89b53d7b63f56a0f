// SPDX-License-Identifier: Apache-2.0
// stdout and stderr in turns
#include "check.h"

int main(void) {
    for (int i = 0; i < 20; i++) { say("out %d\n", i); dprintf(2, "err %d\n", i); }
    return 0;
}
