// SPDX-License-Identifier: Apache-2.0
// a pipe between parent and child, in both sizes
#include "check.h"

int main(void) {
    int p[2];
    char b[65536];
    CHECK(pipe(p) == 0);
    pid_t pid = fork();
    if (!pid) { close(p[0]); memset(b, 'x', sizeof b); for (int i = 0; i < 8; i++) CHECK(write(p[1], b, sizeof b) == sizeof b); _exit(0); }
    close(p[1]);
    long sum = 0, n;
    while ((n = read(p[0], b, sizeof b)) > 0) sum += n;
    CHECK(sum == 8 * 65536 && run_child(pid) == 0);
    say("%ld bytes\n", sum);
    return 0;
}
