// SPDX-License-Identifier: Apache-2.0
// a splice to standard output that waits for what another process writes
#include "check.h"

int main() {
    int p[2];
    pipe(p);
    if (!fork()) {
        close(p[0]);
        for (int i = 0; i < 5000; i++) dprintf(p[1], "row %d\n", i);
        _exit(0);
    }
    close(p[1]);
    ssize_t n, t = 0;
    while ((n = splice(p[0], 0, 1, 0, 65536, SPLICE_F_MOVE | SPLICE_F_MORE)) > 0) t += n;
    fprintf(stderr, "%zd %d\n", t, (int)n);
    wait(0);
    return 0;
}
