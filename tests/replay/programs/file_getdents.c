// SPDX-License-Identifier: Apache-2.0
// readdir in the order of the file system, seekdir, rewinddir
#include "check.h"

int main(void) {
    char n[16];
    CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
    for (int i = 0; i < 200; i++) { sprintf(n, "file%d", i * 7919 % 1000); close(open(n, O_CREAT | O_WRONLY, 0600)); }
    DIR *d = opendir(".");
    int count = 0;
    for (struct dirent *e; (e = readdir(d)); count++) say("%s %lu %d\n", e->d_name, (long)e->d_ino, e->d_type);
    rewinddir(d);
    CHECK(readdir(d));
    CHECK(count == 202);
    closedir(d);
    return 0;
}
