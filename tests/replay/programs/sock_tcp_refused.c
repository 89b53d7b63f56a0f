// SPDX-License-Identifier: Apache-2.0
// connecting where nobody listens; connecting without waiting
#include "check.h"

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t l = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(bind(s, (void *)&a, l) == 0 && getsockname(s, (void *)&a, &l) == 0);
    CHECK(connect(c, (void *)&a, l) == -1 && errno == ECONNREFUSED);
    CHECK(listen(s, 1) == 0);
    int r = connect(n, (void *)&a, l);
    say("%d\n", r ? errno : 0);
    struct pollfd p = {n, POLLOUT, 0};
    int e = -1;
    socklen_t el = sizeof e;
    CHECK(poll(&p, 1, 1000) == 1 && getsockopt(n, SOL_SOCKET, SO_ERROR, &e, &el) == 0 && e == 0);
    return 0;
}
