// SPDX-License-Identifier: Apache-2.0
// eventfd as counter and as semaphore, between processes
#include "check.h"

int main(void) {
    uint64_t v = 5, w;
    int e = eventfd(0, EFD_NONBLOCK), s = eventfd(3, EFD_SEMAPHORE);
    CHECK(read(e, &w, 8) == -1 && errno == EAGAIN && write(e, &v, 8) == 8 && write(e, &v, 8) == 8);
    CHECK(read(e, &w, 8) == 8 && w == 10);
    CHECK(read(s, &w, 8) == 8 && w == 1);
    pid_t pid = fork();
    if (!pid) { v = 100; CHECK(write(e, &v, 8) == 8); _exit(0); }
    CHECK(run_child(pid) == 0 && read(e, &w, 8) == 8 && w == 100);
    say("eventfd %d %d\n", e, s);
    return 0;
}
