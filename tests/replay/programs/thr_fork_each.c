// SPDX-License-Identifier: Apache-2.0
// threads that fork
#include "check.h"

static void *t(void *a) {
    pid_t c = fork();
    if (!c) {
        printf("child of thread\n");
        fflush(stdout);
        _exit(7);
    }
    int s;
    waitpid(c, &s, 0);
    return (void *)(long)WEXITSTATUS(s);
}
static int pr, pa, ch;
static void f1() { pr++; }
static void f2() { pa++; }
static void f3() { write(1, "atchild\n", 8); }
int main() {
    pthread_atfork(f1, f2, f3);
    pthread_t x[3];
    long r = 0;
    for (int i = 0; i < 3; i++) pthread_create(x + i, 0, t, 0);
    for (int i = 0; i < 3; i++) {
        void *v;
        pthread_join(x[i], &v);
        r += (long)v;
    }
    printf("%ld %d %d\n", r, pr, pa);
    return 0;
}
