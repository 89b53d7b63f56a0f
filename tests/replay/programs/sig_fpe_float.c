// SPDX-License-Identifier: Apache-2.0
// floating point exceptions
#include "check.h"

#include <fenv.h>
static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    printf("%d %d\n", s, i->si_code);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &a, 0);
    feenableexcept(FE_DIVBYZERO | FE_INVALID);
    volatile double z = 0;
    volatile double r;
    if (!sigsetjmp(j, 1)) r = 1 / z;
    feenableexcept(FE_INVALID);
    if (!sigsetjmp(j, 1)) r = z / z;
    volatile long double lz = 0, lr;
    if (!sigsetjmp(j, 1)) {
        lr = 1 / lz;
        lr = lr + 1;
    }
    puts("e");
    return 0;
}
