// SPDX-License-Identifier: Apache-2.0
// System V semaphores with SEM_UNDO
#include "check.h"

int main(void) {
    int id = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    if (id < 0) { say("no sem: %d\n", errno); return 0; }
    union { int val; } v = {1};
    struct sembuf down = {0, -1, SEM_UNDO}, up = {1, 1, 0}, w = {1, -1, 0}, now = {0, -1, IPC_NOWAIT};
    CHECK(semctl(id, 0, SETVAL, v) == 0);
    pid_t pid = fork();
    if (!pid) { CHECK(semop(id, &down, 1) == 0 && semop(id, &up, 1) == 0); usleep(2000); _exit(0); }
    CHECK(semop(id, &w, 1) == 0 && run_child(pid) == 0);
    CHECK(semctl(id, 0, GETVAL) == 1 && semop(id, &now, 1) == 0 && semop(id, &now, 1) == -1 && errno == EAGAIN);
    CHECK(semctl(id, 0, IPC_RMID) == 0);
    say("semaphores\n");
    return 0;
}
