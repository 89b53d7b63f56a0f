// SPDX-License-Identifier: Apache-2.0
// System V messages by type
#include "check.h"

int main(void) {
    struct { long type; char text[16]; } m = {2, "second"}, r;
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (id < 0) { say("no msg: %d\n", errno); return 0; }
    CHECK(msgsnd(id, &m, 7, 0) == 0);
    m.type = 1, strcpy(m.text, "first");
    CHECK(msgsnd(id, &m, 6, 0) == 0);
    CHECK(msgrcv(id, &r, 16, 1, 0) == 6 && !strcmp(r.text, "first") && msgrcv(id, &r, 16, 0, 0) == 7);
    CHECK(msgrcv(id, &r, 16, 0, IPC_NOWAIT) == -1 && errno == ENOMSG && msgctl(id, IPC_RMID, 0) == 0);
    say("%s\n", r.text);
    return 0;
}
