// SPDX-License-Identifier: Apache-2.0
// perf_event_open, bpf, userfaultfd: answers
#include "check.h"
#include <linux/perf_event.h>

int main(void) {
    struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_TASK_CLOCK};
    long r = syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
    say("%s\n", r < 0 ? "refused" : "open");
    r = syscall(SYS_userfaultfd, 0);
    say("%s\n", r < 0 ? "refused" : "open");
    return 0;
}
