// SPDX-License-Identifier: Apache-2.0
// getpid, gettid, getppid in processes and threads
#include "check.h"

static void *run(void *x) { *(int *)x = gettid(); return 0; }
int main(void) {
    pthread_t t;
    int tid = 0;
    CHECK(getpid() == gettid());
    CHECK(pthread_create(&t, 0, run, &tid) == 0 && pthread_join(t, 0) == 0 && tid != getpid());
    say("pid %d ppid %d thread %d\n", getpid(), getppid(), tid);
    return 0;
}
