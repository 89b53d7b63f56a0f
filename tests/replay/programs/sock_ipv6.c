// SPDX-License-Identifier: Apache-2.0
// IPv6 loopback, or a refusal
#include "check.h"

int main(void) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t l = sizeof a;
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    if (s < 0 || bind(s, (void *)&a, l)) { say("no IPv6: %d\n", errno); return 0; }
    CHECK(listen(s, 1) == 0 && getsockname(s, (void *)&a, &l) == 0);
    int c = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(connect(c, (void *)&a, l) == 0);
    int d = accept(s, NULL, NULL);
    CHECK(write(c, "6", 1) == 1);
    char b;
    CHECK(read(d, &b, 1) == 1);
    say("port %d\n", ntohs(a.sin6_port));
    return 0;
}
