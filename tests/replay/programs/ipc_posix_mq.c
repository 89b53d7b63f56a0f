// SPDX-License-Identifier: Apache-2.0
// POSIX message queues: priorities, timeouts
#include "check.h"

int main(void) {
    struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 32}, g;
    char n[32], b[32];
    unsigned p;
    sprintf(n, "/q%d", getpid());
    mqd_t q = mq_open(n, O_RDWR | O_CREAT | O_EXCL, 0600, &a);
    if (q < 0) { say("no mq: %d\n", errno); return 0; }
    CHECK(mq_unlink(n) == 0 && mq_send(q, "low", 4, 1) == 0 && mq_send(q, "high", 5, 9) == 0);
    CHECK(mq_getattr(q, &g) == 0 && g.mq_curmsgs == 2);
    CHECK(mq_receive(q, b, 32, &p) == 5 && p == 9);
    say("%s\n", b);
    CHECK(mq_receive(q, b, 32, &p) == 4);
    struct timespec t = {1, 0};
    CHECK(mq_timedreceive(q, b, 32, &p, &t) == -1 && errno == ETIMEDOUT);
    return 0;
}
