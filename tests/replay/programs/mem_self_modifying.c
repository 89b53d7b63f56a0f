// SPDX-License-Identifier: Apache-2.0
// code that changes itself
// flags: -O0
#include "check.h"

int main() {
    extern char target[];
    char *pg = (char *)((long)target & ~4095l);
    mprotect(pg, 8192, 7);
    int r;
    for (int i = 0; i < 3; i++) {
        target[1] = i + 1;
        asm volatile("call target" : "=a"(r));
        printf("%d\n", r);
    }
    return 0;
}
asm(".globl target\ntarget: mov $7,%eax\n ret\n");
