// SPDX-License-Identifier: Apache-2.0
// a process of threads that is stopped and continued
#include "check.h"

static void *t(void *a) {
    for (int i = 0; i < 50; i++) usleep(1000);
    return 0;
}
int main() {
    pid_t c = fork();
    if (!c) {
        pthread_t x[3];
        for (int i = 0; i < 3; i++) pthread_create(x + i, 0, t, 0);
        for (int i = 0; i < 3; i++) pthread_join(x[i], 0);
        puts("done");
        fflush(stdout);
        _exit(4);
    }
    usleep(10000);
    kill(c, SIGSTOP);
    int s;
    waitpid(c, &s, WUNTRACED);
    printf("st %x\n", s);
    fflush(stdout);
    kill(c, SIGCONT);
    waitpid(c, &s, 0);
    printf("%x\n", s);
    return 0;
}
