// SPDX-License-Identifier: Apache-2.0
// a process that is killed with a robust mutex
#include "check.h"

int main() {
    pthread_mutex_t *m = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, 1);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
    pid_t c = fork();
    if (!c) {
        pthread_mutex_lock(m);
        pause();
    }
    usleep(20000);
    kill(c, SIGKILL);
    int r = pthread_mutex_lock(m);
    printf("%d\n", r == EOWNERDEAD);
    wait(0);
    return 0;
}
