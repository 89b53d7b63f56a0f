// SPDX-License-Identifier: Apache-2.0
// a sealed memfd
#include "check.h"

int main() {
    int f = memfd_create("x", MFD_ALLOW_SEALING);
    ftruncate(f, 4096);
    write(f, "abc", 3);
    char *p = mmap(0, 4096, 1, MAP_SHARED, f, 0);
    printf("%.3s\n", p);
    fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
    printf("%x\n", fcntl(f, F_GET_SEALS));
    printf("%zd %d\n", pwrite(f, "z", 1, 0), errno);
    printf("%d %d\n", ftruncate(f, 0), errno);
    return 0;
}
