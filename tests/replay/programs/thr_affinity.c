// SPDX-License-Identifier: Apache-2.0
// a program that chooses its own processors
#include "check.h"

int main() {
    cpu_set_t s;
    sched_getaffinity(0, sizeof s, &s);
    printf("%d %ld %d\n", CPU_COUNT(&s), sysconf(_SC_NPROCESSORS_ONLN), get_nprocs());
    CPU_ZERO(&s);
    CPU_SET(0, &s);
    printf("%d\n", sched_setaffinity(0, sizeof s, &s));
    sched_getaffinity(0, sizeof s, &s);
    printf("%d %d\n", CPU_COUNT(&s), sched_getcpu());
    unsigned c, n;
    getcpu(&c, &n);
    printf("%u\n", c);
    return 0;
}
