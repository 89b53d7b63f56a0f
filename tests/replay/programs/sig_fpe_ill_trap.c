// SPDX-License-Identifier: Apache-2.0
// SIGFPE, SIGILL, SIGTRAP, SIGBUS by the processor, caught
#include "check.h"

static sigjmp_buf back;
static volatile int zero, code;
static void on(int n, siginfo_t *i, void *c) { (void)c; code = i->si_code; siglongjmp(back, n); }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    int n, all[] = {SIGFPE, SIGILL, SIGTRAP, SIGBUS};
    for (int i = 0; i < 4; i++) CHECK(sigaction(all[i], &a, NULL) == 0);
    if (!(n = sigsetjmp(back, 1))) say("%d\n", 1 / zero);
    say("%d code %d\n", n, code);
    if (!(n = sigsetjmp(back, 1))) __asm__ volatile("ud2");
    say("%d code %d\n", n, code);
    if (!(n = sigsetjmp(back, 1))) __asm__ volatile("int3");
    say("%d code %d\n", n, code);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (!(n = sigsetjmp(back, 1))) say("%d\n", m[0]);
    say("%d code %d\n", n, code);
    return 0;
}
