// SPDX-License-Identifier: Apache-2.0
// getsockopt of many, SO_RCVTIMEO with EAGAIN
#include "check.h"

int main(void) {
    int s[2], v;
    socklen_t l = sizeof v;
    char b;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    int names[] = {SO_TYPE, SO_SNDBUF, SO_RCVBUF, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_KEEPALIVE};
    for (int i = 0; i < 8; i++) { CHECK(getsockopt(s[0], SOL_SOCKET, names[i], &v, &l) == 0); say("%d=%d ", names[i], v); }
    struct timeval t = {0, 20000};
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
    CHECK(recv(s[0], &b, 1, 0) == -1 && errno == EAGAIN);
    CHECK(getsockopt(s[0], SOL_SOCKET, 9999, &v, &l) == -1 && errno == ENOPROTOOPT);
    say("\n");
    return 0;
}
