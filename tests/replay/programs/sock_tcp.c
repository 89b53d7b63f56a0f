// SPDX-License-Identifier: Apache-2.0
// TCP over loopback: port 0, accept, options, shutdown
#include "check.h"

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, p;
    socklen_t l = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(s, (void *)&a, l) == 0 && listen(s, 1) == 0 && getsockname(s, (void *)&a, &l) == 0);
    pid_t pid = fork();
    if (!pid) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        char b[4096];
        long sum = 0, n;
        CHECK(connect(c, (void *)&a, sizeof a) == 0 && setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
        while ((n = read(c, b, sizeof b)) > 0) sum += n;
        CHECK(sum == 300000);
        _exit(0);
    }
    int c = accept(s, (void *)&p, &l);
    static char data[300000];
    for (long at = 0, n; at < 300000; at += n) CHECK((n = write(c, data + at, 300000 - at)) > 0);
    CHECK(shutdown(c, SHUT_WR) == 0 && run_child(pid) == 0);
    say("from port %d to %d\n", ntohs(p.sin_port), ntohs(a.sin_port));
    return 0;
}
