// SPDX-License-Identifier: Apache-2.0
// getrandom in several sizes, getentropy
#include "check.h"

int main(void) {
    unsigned char b[300];
    CHECK(getrandom(b, 16, 0) == 16);
    for (int i = 0; i < 16; i++) say("%02x", b[i]);
    CHECK(getrandom(b, 300, GRND_NONBLOCK) == 300 && getentropy(b, 32) == 0);
    for (int i = 0; i < 32; i++) say("%02x", b[i]);
    say("\n");
    return 0;
}
