// SPDX-License-Identifier: Apache-2.0
// the first thread ends before the others
// expect: exit 0
#include "check.h"

static void *run(void *x) { usleep(10000); say("still here\n"); return x; }
int main(void) {
    pthread_t t;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    pthread_exit(0);
}
