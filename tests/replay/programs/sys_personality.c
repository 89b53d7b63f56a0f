// SPDX-License-Identifier: Apache-2.0
// personality: asking, and turning ADDR_NO_RANDOMIZE on
#include "check.h"

int main(void) {
    int p = personality(0xffffffff);
    int r = personality(p | ADDR_NO_RANDOMIZE);
    say("%x %d %x\n", p, r < 0 ? errno : 0, personality(0xffffffff));
    return 0;
}
