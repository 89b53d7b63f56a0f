// SPDX-License-Identifier: Apache-2.0
// an alarm that jumps out of an endless loop
// flags: -O0
#include "check.h"

static sigjmp_buf jb;
volatile unsigned long n;
void h(int s) { siglongjmp(jb, 1); }
int main() {
    signal(SIGALRM, h);
    ualarm(50000, 0);
    if (!sigsetjmp(jb, 1))
        for (;;) n++;
    printf("%lu\n", n);
    return 0;
}
