// SPDX-License-Identifier: Apache-2.0
// the same through another descriptor
#include "check.h"

int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    write(f, "aaaaaaaaaa", 10);
    int g = open("f", O_RDONLY);
    char *p = mmap(0, 4096, 1, MAP_PRIVATE, g, 0);
    pwrite(f, "bbb", 3, 0);
    printf("%.10s\n", p);
    return 0;
}
