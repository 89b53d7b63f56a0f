// SPDX-License-Identifier: Apache-2.0
// UDP over loopback: sendto, recvfrom, connect, MSG_PEEK, MSG_TRUNC
#include "check.h"

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t l = sizeof a;
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    char b[8];
    CHECK(bind(s, (void *)&a, l) == 0 && getsockname(s, (void *)&a, &l) == 0);
    CHECK(sendto(c, "a datagram", 10, 0, (void *)&a, l) == 10);
    CHECK(recv(s, b, 8, MSG_PEEK) == 8);
    CHECK(recvfrom(s, b, 8, MSG_TRUNC, (void *)&from, &l) == 10);
    CHECK(connect(s, (void *)&from, l) == 0 && send(s, "back", 4, 0) == 4 && recv(c, b, 8, 0) == 4);
    say("ports %d %d\n", ntohs(a.sin_port), ntohs(from.sin_port));
    return 0;
}
