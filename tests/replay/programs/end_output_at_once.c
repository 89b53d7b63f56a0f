// SPDX-License-Identifier: Apache-2.0
// eight megabytes in one write
#include "check.h"

int main() {
    char *b = malloc(8 << 20);
    memset(b, 'x', 8 << 20);
    size_t o = 0;
    while (o < 8 << 20) {
        ssize_t n = write(1, b + o, (8 << 20) - o);
        if (n <= 0) break;
        o += n;
    }
    return 0;
}
