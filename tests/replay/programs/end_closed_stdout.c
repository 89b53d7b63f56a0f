// SPDX-License-Identifier: Apache-2.0
// printing with stdout closed
// expect: exit 4
#include "check.h"

int main(void) {
    close(1);
    int r = printf("lost\n") + fflush(stdout);
    dprintf(2, "errno %d\n", r < 0 ? errno : 0);
    exit(4);
    return 0;
}
