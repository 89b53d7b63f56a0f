// SPDX-License-Identifier: Apache-2.0
// a shared mapping of a file that is cut short
#include "check.h"

static sigjmp_buf j;
static void h(int s, siginfo_t *i, void *c) {
    printf("sig %d code %d\n", s, i->si_code);
    siglongjmp(j, 1);
}
int main() {
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &a, 0);
    int f = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(f, 4096);
    char *p = mmap(0, 8192, 3, MAP_SHARED, f, 0);
    p[0] = 1;
    if (!sigsetjmp(j, 1)) p[5000] = 1;
    ftruncate(f, 0);
    if (!sigsetjmp(j, 1)) p[0] = 2;
    puts("ok");
    return 0;
}
