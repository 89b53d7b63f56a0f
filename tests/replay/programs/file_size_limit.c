// SPDX-License-Identifier: Apache-2.0
// a file that grows over its limit
// expect: signal 25
#include "check.h"

int main() {
    struct rlimit f = {100, 100};
    setrlimit(RLIMIT_FSIZE, &f);
    int g = open("f", O_CREAT | O_WRONLY, 0600);
    char b[200] = {0};
    write(g, b, 100);
    puts("x");
    fflush(stdout);
    write(g, b, 1);
    return 0;
}
