// SPDX-License-Identifier: Apache-2.0
// twenty thousand arguments
#include "check.h"

int main(int c, char **v) {
    if (c > 1) {
        unsigned h = 0;
        for (int i = 0; i < c; i++)
            for (char *p = v[i]; *p; p++) h = h * 31 + *p;
        printf("%d %u\n", c, h);
        return 0;
    }
    char **a = calloc(20002, 8);
    a[0] = v[0];
    for (int i = 1; i < 20000; i++) asprintf(&a[i], "argument number %d", i);
    fflush(stdout);
    execv("/proc/self/exe", a);
    perror("x");
    return 1;
}
