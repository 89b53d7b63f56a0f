// SPDX-License-Identifier: Apache-2.0
// inotify: create, modify, rename, delete
#include "check.h"

int main(void) {
    char b[4096] __attribute__((aligned(8)));
    CHECK(mkdir("d", 0755) == 0);
    int i = inotify_init1(IN_CLOEXEC), w = inotify_add_watch(i, "d", IN_CREATE | IN_MODIFY | IN_MOVE | IN_DELETE);
    CHECK(i >= 0 && w > 0);
    file_with("d/a", "x");
    CHECK(rename("d/a", "d/b") == 0 && unlink("d/b") == 0);
    ssize_t n = read(i, b, sizeof b);
    for (char *at = b; at < b + n;) {
        struct inotify_event *e = (void *)at;
        say("%x %u %s\n", e->mask, e->cookie, e->len ? e->name : "");
        at += sizeof *e + e->len;
    }
    CHECK(inotify_rm_watch(i, w) == 0);
    return 0;
}
