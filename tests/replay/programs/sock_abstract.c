// SPDX-License-Identifier: Apache-2.0
// AF_UNIX in the abstract name space, and autobind
#include "check.h"

int main(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t l = sizeof a;
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(s, (void *)&a, sizeof a.sun_family) == 0 && getsockname(s, (void *)&a, &l) == 0);
    CHECK(sendto(c, "dgram", 5, 0, (void *)&a, l) == 5);
    char b[8];
    CHECK(recv(s, b, 8, 0) == 5);
    say("name of %u bytes: %.5s\n", l, a.sun_path + 1);
    return 0;
}
