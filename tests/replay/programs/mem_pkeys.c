// SPDX-License-Identifier: Apache-2.0
// protection keys
#include "check.h"

static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    printf("%d %d\n", s, i->si_code);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    int k = pkey_alloc(0, 0);
    if (k < 0) {
        puts("none");
        return 0;
    }
    volatile char *p = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pkey_mprotect((void *)p, 4096, 3, k);
    *p = 5;
    pkey_set(k, PKEY_DISABLE_WRITE);
    printf("%d\n", *p);
    if (!sigsetjmp(j, 1)) {
        *p = 6;
        puts("wrote");
    }
    pkey_set(k, PKEY_DISABLE_ACCESS);
    if (!sigsetjmp(j, 1)) printf("%d\n", *p);
    pkey_set(k, 0);
    printf("%d\n", *p);
    return 0;
}
