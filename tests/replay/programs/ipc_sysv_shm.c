// SPDX-License-Identifier: Apache-2.0
// System V shared memory between two processes
#include "check.h"

int main(void) {
    int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    if (id < 0) { say("no shm: %d\n", errno); return 0; }
    char *m = shmat(id, 0, 0);
    struct shmid_ds d;
    CHECK(m != (void *)-1 && shmctl(id, IPC_STAT, &d) == 0 && d.shm_nattch == 1 && d.shm_segsz == 8192);
    pid_t pid = fork();
    if (!pid) { strcpy(m + 5000, "written by the child"); _exit(0); }
    CHECK(run_child(pid) == 0);
    say("%s\n", m + 5000);
    CHECK(shmdt(m) == 0 && shmctl(id, IPC_RMID, 0) == 0);
    return 0;
}
