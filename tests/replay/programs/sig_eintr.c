// SPDX-License-Identifier: Apache-2.0
// without SA_RESTART: EINTR from read, poll, nanosleep, wait
#include "check.h"

static void on(int n) { (void)n; }
static void soon(void) { struct itimerval t = {.it_value = {0, 20000}}; CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0); }
int main(void) {
    struct sigaction a = {.sa_handler = on};
    int p[2];
    char b;
    CHECK(pipe(p) == 0 && sigaction(SIGALRM, &a, NULL) == 0);
    soon();
    CHECK(read(p[0], &b, 1) == -1 && errno == EINTR);
    soon();
    struct pollfd f = {p[0], POLLIN, 0};
    CHECK(poll(&f, 1, -1) == -1 && errno == EINTR);
    soon();
    struct timespec t = {10, 0}, left;
    CHECK(nanosleep(&t, &left) == -1 && errno == EINTR && left.tv_sec >= 9);
    pid_t pid = fork();
    if (!pid) { pause(); _exit(0); }
    soon();
    CHECK(wait(0) == -1 && errno == EINTR && kill(pid, SIGKILL) == 0 && wait(0) == pid);
    say("left %ld.%09ld\n", (long)left.tv_sec, left.tv_nsec);
    return 0;
}
