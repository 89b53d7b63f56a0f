// SPDX-License-Identifier: Apache-2.0
// a lowered limit of the stack
#include "check.h"

static int f(int n) {
    volatile char b[10000];
    b[0] = n;
    return n ? f(n - 1) + b[0] : 0;
}
int main() {
    struct rlimit r;
    getrlimit(RLIMIT_STACK, &r);
    r.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_STACK, &r);
    pid_t c = fork();
    if (!c) {
        f(200);
        _exit(0);
    }
    int s;
    waitpid(c, &s, 0);
    printf("%d\n", WTERMSIG(s));
    c = fork();
    if (!c) {
        f(50);
        _exit(0);
    }
    waitpid(c, &s, 0);
    printf("%x\n", s);
    return 0;
}
