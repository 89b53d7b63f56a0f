// SPDX-License-Identifier: Apache-2.0
// socketpair: stream, datagram, seqpacket, shutdown
#include "check.h"

int main(void) {
    char b[32];
    int s[2], kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        CHECK(socketpair(AF_UNIX, kinds[i] | SOCK_CLOEXEC, 0, s) == 0);
        CHECK(send(s[0], "ab", 2, 0) == 2 && send(s[0], "cde", 3, 0) == 3);
        say("kind %d reads %d\n", kinds[i], (int)recv(s[1], b, 32, 0));
        CHECK(shutdown(s[0], SHUT_WR) == 0 && send(s[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        close(s[0]), close(s[1]);
    }
    return 0;
}
