// SPDX-License-Identifier: Apache-2.0
// a program that lets the counter trap
#include "check.h"

static sigjmp_buf j;
static void h(int s) { siglongjmp(j, 1); }
int main() {
    signal(SIGSEGV, h);
    int v;
    prctl(PR_GET_TSC, &v);
    printf("%d\n", v);
    printf("%d\n", prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
    prctl(PR_GET_TSC, &v);
    printf("%d\n", v);
    if (!sigsetjmp(j, 1)) {
        unsigned a, d;
        asm volatile("rdtsc" : "=a"(a), "=d"(d));
        puts("read");
    } else puts("trapped");
    prctl(PR_SET_TSC, PR_TSC_ENABLE);
    unsigned a, d;
    asm volatile("rdtsc" : "=a"(a), "=d"(d));
    printf("%d\n", a + d > 0);
    printf("%d\n", prctl(PR_SET_TSC, 9));
    return 0;
}
