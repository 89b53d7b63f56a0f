// SPDX-License-Identifier: Apache-2.0
// urgent data
#include "check.h"

static volatile int n;
static void h(int s) { n++; }
int main() {
    signal(SIGURG, h);
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    bind(l, (void *)&a, sizeof a);
    socklen_t k = sizeof a;
    getsockname(l, (void *)&a, &k);
    listen(l, 1);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, k);
    int s = accept(l, 0, 0);
    fcntl(s, F_SETOWN, getpid());
    send(c, "a!", 2, MSG_OOB);
    usleep(2000);
    char b;
    printf("%zd %c\n", recv(s, &b, 1, MSG_OOB), b);
    printf("%d\n", n);
    printf("%d\n", sockatmark(s));
    return 0;
}
