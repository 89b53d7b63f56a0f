// SPDX-License-Identifier: Apache-2.0
// A thread sees in memory what another's read(2) brings, before that call has returned there.
#include "check.h"
static char bytes[64];
static int ends[2];
static void *reads(void *unused) {
    (void)unused;
    return (void *)read(ends[0], bytes, sizeof bytes);
}
int main(void) {
    pthread_t thread;
    void *got;
    CHECK(pipe(ends) == 0 && pthread_create(&thread, NULL, reads, NULL) == 0);
    usleep(2000);
    CHECK(write(ends[1], "seen", 5) == 5);
    while (*(volatile char *)bytes == 0) {
    }
    say("%s\n", bytes);
    CHECK(pthread_join(thread, &got) == 0);
    say("%ld\n", (long)got);
    return 0;
}
