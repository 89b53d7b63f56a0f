// SPDX-License-Identifier: Apache-2.0
// a handler on a stack of its own, for a stack overflow too
#include "check.h"

static char other[1 << 17];
static sigjmp_buf back;
static void on(int n, siginfo_t *i, void *c) {
    char here;
    (void)c, (void)i;
    CHECK(&here >= other && &here < other + sizeof other);
    if (n == SIGSEGV) siglongjmp(back, 1);
}
static int deep(int n) { volatile char b[4096]; b[0] = n; return n > 1000000 ? 0 : deep(n + 1) + b[0]; }
int main(void) {
    stack_t s = {.ss_sp = other, .ss_size = sizeof other}, o;
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    CHECK(sigaltstack(&s, NULL) == 0 && sigaltstack(NULL, &o) == 0 && o.ss_sp == other);
    CHECK(sigaction(SIGUSR1, &a, NULL) == 0 && sigaction(SIGSEGV, &a, NULL) == 0);
    raise(SIGUSR1);
    struct rlimit l = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_STACK, &l) == 0);
    if (!sigsetjmp(back, 1)) { say("%d\n", deep(0)); return 98; }
    say("recovered\n");
    return 0;
}
