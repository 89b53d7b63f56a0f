// SPDX-License-Identifier: Apache-2.0
// a server with a thread for each connection
#include "check.h"

static void *srv(void *a) {
    int s = (long)a;
    char b[100];
    ssize_t n;
    while ((n = recv(s, b, 100, 0)) > 0) send(s, b, n, 0);
    close(s);
    return 0;
}
int main() {
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    bind(l, (void *)&a, sizeof a);
    listen(l, 50);
    socklen_t n = sizeof a;
    getsockname(l, (void *)&a, &n);
    for (int k = 0; k < 4; k++)
        if (!fork()) {
            int ok = 0;
            for (int j = 0; j < 5; j++) {
                int c = socket(AF_INET, SOCK_STREAM, 0);
                connect(c, (void *)&a, sizeof a);
                send(c, "ping", 4, 0);
                char b[9];
                ok += recv(c, b, 9, 0) == 4;
                close(c);
            }
            _exit(ok);
        }
    pthread_t t;
    for (int i = 0; i < 20; i++) {
        int s = accept(l, 0, 0);
        pthread_create(&t, 0, srv, (void *)(long)s);
        pthread_detach(t);
    }
    int s, x = 0;
    while (wait(&s) > 0) x += WEXITSTATUS(s);
    printf("%d\n", x);
    return 0;
}
