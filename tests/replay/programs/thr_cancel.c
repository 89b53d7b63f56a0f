// SPDX-License-Identifier: Apache-2.0
// pthread_cancel with clean-up handlers
#include "check.h"

static int cleaned;
static void clean(void *x) { cleaned += (long)x; }
static void *run(void *x) { pthread_cleanup_push(clean, (void *)3); pthread_cleanup_push(clean, (void *)4); for (;;) pause(); pthread_cleanup_pop(0); pthread_cleanup_pop(0); return x; }
int main(void) {
    pthread_t t;
    void *r;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    usleep(5000);
    CHECK(pthread_cancel(t) == 0 && pthread_join(t, &r) == 0 && r == PTHREAD_CANCELED && cleaned == 7);
    say("cancelled\n");
    return 0;
}
