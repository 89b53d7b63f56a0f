// SPDX-License-Identifier: Apache-2.0
// threads: arguments, return values, ids
#include "check.h"

static void *run(void *x) { return (void *)((long)x * 2); }
int main(void) {
    pthread_t t[8];
    void *r;
    for (long i = 0; i < 8; i++) CHECK(pthread_create(&t[i], 0, run, (void *)i) == 0);
    for (long i = 0; i < 8; i++) { CHECK(pthread_join(t[i], &r) == 0 && (long)r == 2 * i); }
    say("threads\n");
    return 0;
}
