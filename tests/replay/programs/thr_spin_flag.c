// SPDX-License-Identifier: Apache-2.0
// one thread spins until another sets a flag, without any call
#include "check.h"

static atomic_int flag;
static void *run(void *x) { usleep(5000); flag = 1; while (flag != 2) {} return x; }
int main(void) {
    pthread_t t;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    while (flag != 1) {}
    flag = 2;
    pthread_join(t, 0);
    say("flag\n");
    return 0;
}
