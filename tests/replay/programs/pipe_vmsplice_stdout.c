// SPDX-License-Identifier: Apache-2.0
// memory spliced to standard output
#include "check.h"

int main() {
    static char b[] = "vmspliced\n";
    struct iovec v = {b, 10};
    int n = vmsplice(1, &v, 1, 0);
    fprintf(stderr, "%d\n", n);
    return 0;
}
