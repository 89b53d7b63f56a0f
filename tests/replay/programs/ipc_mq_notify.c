// SPDX-License-Identifier: Apache-2.0
// a message queue that signals
#include "check.h"

static volatile int n;
static void h(int s, siginfo_t *i, void *c) { n = i->si_code == SI_MESGQ; }
int main() {
    char m[30];
    sprintf(m, "/n%d", getpid());
    struct mq_attr a = {0, 4, 64};
    mqd_t q = mq_open(m, O_CREAT | O_RDWR, 0600, &a);
    struct sigaction s = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &s, 0);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    mq_notify(q, &e);
    if (!fork()) {
        mq_send(q, "x", 1, 0);
        _exit(0);
    }
    wait(0);
    printf("%d\n", n);
    mq_unlink(m);
    return 0;
}
