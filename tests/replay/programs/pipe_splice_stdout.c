// SPDX-License-Identifier: Apache-2.0
// a splice to standard output
#include "check.h"

int main() {
    int p[2];
    pipe(p);
    write(p[1], "through splice\n", 15);
    printf("%zd\n", splice(p[0], 0, 1, 0, 100, 0));
    fflush(stdout);
    return 0;
}
