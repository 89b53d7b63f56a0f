// SPDX-License-Identifier: Apache-2.0
// an alarm in code that the program made itself
#include "check.h"

static volatile unsigned long lim = ~0ul;
void h(int s) { lim = 0; }
int main() {
    unsigned char *p = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char c[] = {0x31, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0x3b, 0x07, 0x76, 0xf8, 0xc3};
    memcpy(p, c, sizeof c);
    signal(SIGALRM, h);
    ualarm(20000, 0);
    unsigned long (*f)(volatile unsigned long *) = (void *)p;
    printf("%lu\n", f(&lim));
    return 0;
}
