// SPDX-License-Identifier: Apache-2.0
// five children that write lines
#include "check.h"

int main() {
    for (int i = 0; i < 5; i++)
        if (!fork()) {
            for (int k = 0; k < 20; k++) {
                printf("child %d line %d\n", i, k);
                fflush(stdout);
                usleep(100);
            }
            _exit(0);
        }
    while (wait(0) > 0);
    puts("all");
    return 0;
}
