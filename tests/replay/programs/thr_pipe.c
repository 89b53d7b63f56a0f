// SPDX-License-Identifier: Apache-2.0
// two threads talk through a pipe
#include "check.h"

static int p[2], q[2];
static void *run(void *x) { int v; while (read(p[0], &v, 4) == 4) { v *= 2; CHECK(write(q[1], &v, 4) == 4); } return x; }
int main(void) {
    pthread_t t;
    CHECK(pipe(p) == 0 && pipe(q) == 0 && pthread_create(&t, 0, run, 0) == 0);
    for (int i = 0, v; i < 100; i++) { CHECK(write(p[1], &i, 4) == 4 && read(q[0], &v, 4) == 4 && v == 2 * i); }
    close(p[1]);
    pthread_join(t, 0);
    say("doubled\n");
    return 0;
}
