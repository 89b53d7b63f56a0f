// SPDX-License-Identifier: Apache-2.0
// sendfile from a file to a socket and to a pipe
#include "check.h"

int main(void) {
    char b[32] = "";
    int s[2], p[2];
    file_with("f", "sendfile me");
    int fd = open("f", O_RDONLY);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
    off_t at = 4;
    CHECK(sendfile(s[0], fd, &at, 100) == 7 && at == 11);
    CHECK(read(s[1], b, 32) == 7 && !strcmp(b, "file me"));
    CHECK(sendfile(p[1], fd, NULL, 4) == 4 && read(p[0], b, 32) == 4);
    say("%.4s\n", b);
    return 0;
}
