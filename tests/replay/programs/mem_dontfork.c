// SPDX-License-Identifier: Apache-2.0
// memory that a child does not inherit
#include "check.h"

int main() {
    char *p = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
         *q = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *p = 1;
    *q = 2;
    madvise(p, 4096, MADV_DONTFORK);
    madvise(q, 4096, MADV_WIPEONFORK);
    pid_t c = fork();
    if (!c) {
        printf("%d\n", *q);
        fflush(stdout);
        *p = 1;
        _exit(0);
    }
    int s;
    waitpid(c, &s, 0);
    printf("%d\n", WTERMSIG(s));
    return 0;
}
