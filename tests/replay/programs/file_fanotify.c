// SPDX-License-Identifier: Apache-2.0
// fanotify_init: works or says why not
#include "check.h"

int main(void) {
    int r = syscall(SYS_fanotify_init, 0, O_RDONLY);
    say("%s %d\n", r < 0 ? "refused" : "fd", r < 0 ? errno : r);
    return 0;
}
