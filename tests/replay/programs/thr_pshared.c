// SPDX-License-Identifier: Apache-2.0
// a process-shared mutex and condition in a shared mapping
#include "check.h"

int main(void) {
    struct box { pthread_mutex_t m; pthread_cond_t c; int turn; } *b = mmap(0, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pthread_mutexattr_init(&ma), pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED), pthread_mutex_init(&b->m, &ma);
    pthread_condattr_init(&ca), pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED), pthread_cond_init(&b->c, &ca);
    pid_t pid = fork();
    int me = pid != 0;
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&b->m);
        while (b->turn % 2 != me) pthread_cond_wait(&b->c, &b->m);
        b->turn++;
        pthread_cond_broadcast(&b->c);
        pthread_mutex_unlock(&b->m);
    }
    if (!pid) _exit(0);
    CHECK(run_child(pid) == 0 && b->turn == 40);
    say("%d turns\n", b->turn);
    return 0;
}
