// SPDX-License-Identifier: Apache-2.0
// exec of a script with an interpreter line
#include "check.h"

int main(void) {
    file_with("s", "#!/bin/sh -e\necho script $0 $1\nexit 12\n");
    CHECK(chmod("s", 0755) == 0);
    pid_t pid = fork();
    if (!pid) { execl("./s", "s", "arg", (char *)0); _exit(97); }
    CHECK(WEXITSTATUS(run_child(pid)) == 12);
    return 0;
}
