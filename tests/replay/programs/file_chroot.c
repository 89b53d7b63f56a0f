// SPDX-License-Identifier: Apache-2.0
// mappings within another root
#include "check.h"

int main() {
    pid_t c = fork();
    if (!c) {
        mkdir("r", 0700);
        file_with("r/f", "inside");
        printf("%d\n", chroot("r"));
        chdir("/");
        int f = open("/f", 0);
        char b[10] = {0};
        read(f, b, 9);
        puts(b);
        char *p = mmap(0, 4096, 1, MAP_PRIVATE, f, 0);
        printf("%.6s\n", p);
        int w = open("/g", O_RDWR | O_CREAT, 0600);
        ftruncate(w, 4096);
        char *q = mmap(0, 4096, 3, MAP_SHARED, w, 0);
        *q = 'z';
        pread(w, b, 1, 0);
        puts(b);
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 0;
}
