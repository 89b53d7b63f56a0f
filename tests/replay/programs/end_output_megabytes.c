// SPDX-License-Identifier: Apache-2.0
// six megabytes of output
#include "check.h"

int main() {
    char b[4096];
    for (int i = 0; i < 4096; i++) b[i] = 'a' + i % 26;
    for (int i = 0; i < 1500; i++) fwrite(b, 1, 4096, stdout);
    return 0;
}
