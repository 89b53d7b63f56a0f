// SPDX-License-Identifier: Apache-2.0
// name_to_handle_at: a handle or a refusal
#include "check.h"

int main(void) {
    struct { struct file_handle h; unsigned char b[128]; } x = {.h.handle_bytes = 128};
    int m;
    file_with("f", "x");
    int r = name_to_handle_at(AT_FDCWD, "f", &x.h, &m, 0);
    say("%d type %d bytes %u mount %d\n", r ? errno : 0, r ? 0 : x.h.handle_type, r ? 0 : x.h.handle_bytes, r ? 0 : m);
    return 0;
}
