// SPDX-License-Identifier: Apache-2.0
// a signal when a directory changes
#include "check.h"

static volatile int n;
static void h(int s) { n++; }
int main() {
    signal(SIGIO, h);
    int d = open(".", O_RDONLY);
    int r = fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT);
    printf("%d\n", r);
    close(open("new", O_CREAT, 0600));
    usleep(1000);
    printf("%d\n", n);
    return 0;
}
