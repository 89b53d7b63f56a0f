// SPDX-License-Identifier: Apache-2.0
// a datagram larger than the buffer
#include "check.h"

int main() {
    int s[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    char big[5000];
    memset(big, 'b', 5000);
    send(s[0], big, 5000, 0);
    struct {
        char b[16];
        long guard[4];
    } x;
    memset(&x, 7, sizeof x);
    printf("%zd\n", recv(s[1], x.b, 16, MSG_TRUNC));
    printf("%lx\n", x.guard[0]);
    return 0;
}
