// SPDX-License-Identifier: Apache-2.0
// five hundred entries
#include "check.h"

int main() {
    mkdir("d", 0700);
    char n[30];
    for (int i = 0; i < 500; i++) {
        sprintf(n, "d/file%d", i);
        close(open(n, O_CREAT, 0600));
    }
    DIR *d = opendir("d");
    int c = 0;
    struct dirent *e;
    long ino = 0;
    while ((e = readdir(d))) {
        c++;
        ino += e->d_ino;
    }
    printf("%d %ld\n", c, ino);
    rewinddir(d);
    seekdir(d, telldir(d));
    e = readdir(d);
    puts(e->d_name);
    struct dirent **l;
    int k = scandir("d", &l, 0, alphasort);
    printf("%d %s\n", k, l[5]->d_name);
    return 0;
}
