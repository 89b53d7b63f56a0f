// SPDX-License-Identifier: Apache-2.0
// end of file at once
#include "check.h"

int main(void) {
    char b;
    CHECK(read(0, &b, 1) == 0 && getchar() == EOF);
    say("empty\n");
    return 0;
}
