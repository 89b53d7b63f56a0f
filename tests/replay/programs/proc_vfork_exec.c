// SPDX-License-Identifier: Apache-2.0
// vfork and exec, several times
#include "check.h"

int main(void) {
    for (int i = 0; i < 5; i++) {
        pid_t pid = vfork();
        if (!pid) { execl("/bin/sh", "sh", "-c", "echo from a shell $$; exit 4", (char *)0); _exit(127); }
        CHECK(WEXITSTATUS(run_child(pid)) == 4);
    }
    return 0;
}
