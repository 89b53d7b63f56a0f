// SPDX-License-Identifier: Apache-2.0
// a process that ends with a robust mutex
#include "check.h"

int main() {
    pthread_mutex_t *m = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, 1);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
    if (!fork()) {
        pthread_mutex_lock(m);
        _exit(0);
    }
    wait(0);
    int r = pthread_mutex_lock(m);
    printf("%d\n", r == EOWNERDEAD);
    pthread_mutex_consistent(m);
    pthread_mutex_unlock(m);
    printf("%d\n", pthread_mutex_lock(m));
    return 0;
}
