// SPDX-License-Identifier: Apache-2.0
// kinds of mutexes
#include "check.h"

int main() {
    int k[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
    for (int i = 0; i < 3; i++) {
        pthread_mutexattr_t a;
        pthread_mutexattr_init(&a);
        pthread_mutexattr_settype(&a, k[i]);
        pthread_mutex_t m;
        pthread_mutex_init(&m, &a);
        pthread_mutex_lock(&m);
        int r = pthread_mutex_trylock(&m);
        printf("%d %d\n", i, r);
        if (k[i] == PTHREAD_MUTEX_ERRORCHECK) printf("%d\n", pthread_mutex_lock(&m));
        pthread_mutex_unlock(&m);
    }
    return 0;
}
