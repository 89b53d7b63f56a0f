// SPDX-License-Identifier: Apache-2.0
// times, clock, getrusage of self, children and thread
#include "check.h"

int main(void) {
    struct tms t;
    struct rusage u;
    for (volatile int i = 0; i < 3000000; i++) {}
    pid_t pid = fork();
    if (!pid) { for (volatile int i = 0; i < 1000000; i++) {} _exit(0); }
    run_child(pid);
    long ticks = times(&t), c = clock();
    say("%ld %ld %ld %ld\n", ticks, (long)t.tms_utime, (long)t.tms_cutime, c);
    int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD};
    for (int i = 0; i < 3; i++) { CHECK(getrusage(who[i], &u) == 0); say("%ld.%06ld %ld %ld %ld\n", (long)u.ru_utime.tv_sec, (long)u.ru_utime.tv_usec, u.ru_maxrss, u.ru_minflt, u.ru_nvcsw); }
    return 0;
}
