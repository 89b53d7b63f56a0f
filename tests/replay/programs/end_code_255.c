// SPDX-License-Identifier: Apache-2.0
// exit(-1) is 255
// expect: exit 255
#include "check.h"

int main(void) {
    say("minus one\n");
    exit(-1);
    return 0;
}
