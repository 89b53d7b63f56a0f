// SPDX-License-Identifier: Apache-2.0
// sem_open between parent and child
#include "check.h"

int main(void) {
    char n[32];
    sprintf(n, "/n%d", getpid());
    sem_t *s = sem_open(n, O_CREAT | O_EXCL, 0600, 0);
    if (s == SEM_FAILED) { say("no sem_open: %d\n", errno); return 0; }
    pid_t pid = fork();
    if (!pid) { sem_post(s); _exit(0); }
    CHECK(sem_wait(s) == 0 && run_child(pid) == 0 && sem_close(s) == 0 && sem_unlink(n) == 0);
    say("named\n");
    return 0;
}
