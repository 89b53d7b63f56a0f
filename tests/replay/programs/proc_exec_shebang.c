// SPDX-License-Identifier: Apache-2.0
// scripts, and what cannot be executed
#include "check.h"

int main() {
    int f = open("s.sh", O_CREAT | O_WRONLY, 0700);
    dprintf(f, "#!/bin/sh -e\necho script $0 $1\n");
    close(f);
    f = open("t", O_CREAT | O_WRONLY, 0700);
    dprintf(f, "#!./s.sh\n");
    close(f);
    f = open("u", O_CREAT | O_WRONLY, 0700);
    dprintf(f, "no shebang\n");
    close(f);
    char *n[] = {"./s.sh", "./t", "./u", "./none", "/etc/passwd", "."};
    for (int i = 0; i < 6; i++) {
        pid_t c = fork();
        if (!c) {
            execl(n[i], n[i], "arg", (char *)0);
            _exit(errno);
        }
        int s;
        waitpid(c, &s, 0);
        printf("%d\n", WEXITSTATUS(s));
        fflush(stdout);
    }
    return 0;
}
