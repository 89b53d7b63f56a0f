// SPDX-License-Identifier: Apache-2.0
// a child sends two hundred signals while the parent works
#include "check.h"

static volatile int got;
static void on(int n) { (void)n; got++; }
int main(void) {
    struct sigaction a = {.sa_handler = on, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGRTMIN, &a, NULL) == 0);
    pid_t pid = fork();
    if (!pid) { for (int i = 0; i < 200; i++) sigqueue(getppid(), SIGRTMIN, (union sigval){.sival_int = i}); _exit(0); }
    while (got < 200) getppid();
    run_child(pid);
    say("got %d\n", got);
    return 0;
}
