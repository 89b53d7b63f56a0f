// SPDX-License-Identifier: Apache-2.0
// sysinfo, sysconf, getpagesize, get_nprocs, getloadavg
#include "check.h"

int main(void) {
    struct sysinfo s;
    double l[3];
    CHECK(sysinfo(&s) == 0 && getloadavg(l, 3) == 3);
    say("up %ld free %lu procs %d cpus %ld %d page %d pages %ld open %ld load %f\n", s.uptime, s.freeram, s.procs, sysconf(_SC_NPROCESSORS_ONLN), get_nprocs(), getpagesize(), sysconf(_SC_PHYS_PAGES), sysconf(_SC_OPEN_MAX), l[0]);
    return 0;
}
