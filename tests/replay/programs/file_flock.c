// SPDX-License-Identifier: Apache-2.0
// flock shared and exclusive on two open files, waiting in a child
#include "check.h"

int main(void) {
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);
    CHECK(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH) == 0);
    CHECK(flock(b, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    CHECK(flock(b, LOCK_UN) == 0 && flock(a, LOCK_EX) == 0);
    pid_t pid = fork();
    if (!pid) { int c = open("f", O_RDWR); CHECK(flock(c, LOCK_EX) == 0); say("child has it\n"); _exit(3); }
    usleep(20000);
    say("parent lets go\n");
    CHECK(flock(a, LOCK_UN) == 0);
    CHECK(WEXITSTATUS(run_child(pid)) == 3);
    return 0;
}
