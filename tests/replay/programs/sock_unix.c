// SPDX-License-Identifier: Apache-2.0
// AF_UNIX with a path: listen, accept, connect, peer credentials
#include "check.h"

int main(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s"}, peer;
    socklen_t l = sizeof peer;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(s, (void *)&a, sizeof a) == 0 && listen(s, 4) == 0);
    pid_t pid = fork();
    if (!pid) { int c = socket(AF_UNIX, SOCK_STREAM, 0); CHECK(connect(c, (void *)&a, sizeof a) == 0 && write(c, "hi", 2) == 2); char x; CHECK(read(c, &x, 1) == 1); _exit(x); }
    int c = accept4(s, (void *)&peer, &l, SOCK_CLOEXEC);
    struct ucred u;
    socklen_t ul = sizeof u;
    char b[8];
    CHECK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &ul) == 0 && u.pid == pid && u.uid == getuid());
    CHECK(read(c, b, 8) == 2 && write(c, "\x07", 1) == 1 && WEXITSTATUS(run_child(pid)) == 7);
    CHECK(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a) == -1 && errno == EADDRINUSE);
    say("peer %d name length %u\n", u.pid, l);
    return 0;
}
