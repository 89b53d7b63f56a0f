// SPDX-License-Identifier: Apache-2.0
// pthread_once, atfork handlers, thread names
#include "check.h"

static pthread_once_t o = PTHREAD_ONCE_INIT;
static int n;
static void first(void) { n++; }
static void before(void) { say("before\n"); }
static void after(void) { say("child\n"); }
static void *run(void *x) { pthread_once(&o, first); return x; }
int main(void) {
    pthread_t t[3];
    char b[16];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], 0, run, 0) == 0);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    CHECK(n == 1 && pthread_atfork(before, 0, after) == 0);
    pid_t pid = fork();
    if (!pid) _exit(0);
    run_child(pid);
    CHECK(pthread_setname_np(pthread_self(), "worker") == 0 && pthread_getname_np(pthread_self(), b, 16) == 0 && !strcmp(b, "worker"));
    return 0;
}
