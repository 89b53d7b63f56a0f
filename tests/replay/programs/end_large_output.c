// SPDX-License-Identifier: Apache-2.0
// three megabytes of output
#include "check.h"

int main(void) {
    static char b[65536];
    for (int k = 0; k < 48; k++) { for (int i = 0; i < 65536; i++) b[i] = i % 64 == 63 ? '\n' : 'a' + (i + k) % 26; for (long at = 0, n; at < 65536; at += n) CHECK((n = write(1, b + at, 65536 - at)) > 0); }
    return 0;
}
