// SPDX-License-Identifier: Apache-2.0
// a process with threads forks; the child has one
#include "check.h"

static void *run(void *x) { for (;;) usleep(1000); return x; }
int main(void) {
    pthread_t t;
    CHECK(pthread_create(&t, 0, run, 0) == 0);
    pid_t pid = fork();
    if (!pid) { DIR *d = opendir("/proc/self/task"); int n = 0; for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.'; CHECK(n == 1); say("child has one thread\n"); _exit(0); }
    CHECK(run_child(pid) == 0);
    return 0;
}
