// SPDX-License-Identifier: Apache-2.0
// a thread executes a program
#include "check.h"

static void *t(void *a) {
    execl("/bin/echo", "echo", "from thread", (char *)0);
    return 0;
}
int main() {
    pthread_t x, y;
    pthread_create(&y, 0, (void *)pause, 0);
    pthread_create(&x, 0, t, 0);
    pthread_join(x, 0);
    puts("no");
    return 0;
}
