// SPDX-License-Identifier: Apache-2.0
// exec from a thread that is not the first
#include "check.h"

static void *run(void *x) { execl("/bin/echo", "echo", "executed by a thread", (char *)0); return x; }
int main(int argc, char **argv) {
    pthread_t t;
    (void)argc, (void)argv;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    pause();
    return 97;
}
