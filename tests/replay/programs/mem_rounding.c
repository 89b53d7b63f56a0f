// SPDX-License-Identifier: Apache-2.0
// rounding modes
#include "check.h"

#include <fenv.h>
int main() {
    volatile double a = 1, b = 3;
    for (int m = 0; m < 4; m++) {
        int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
        fesetround(modes[m]);
        printf("%.20f %La\n", a / b, (long double)a / 3.0L);
    }
    unsigned c;
    asm("stmxcsr %0" : "=m"(c));
    printf("%x\n", c);
    return 0;
}
