// SPDX-License-Identifier: Apache-2.0
// exit from a thread ends all
// expect: exit 23
#include "check.h"

static void *run(void *x) { (void)x; usleep(5000); exit(23); }
int main(void) {
    pthread_t t;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    for (;;) pause();
}
