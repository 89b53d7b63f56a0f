// SPDX-License-Identifier: Apache-2.0
// getaddrinfo of localhost and of a number
#include "check.h"

#include <netdb.h>
int main(void) {
    struct addrinfo *r = NULL, h = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int e = getaddrinfo("localhost", "80", &h, &r);
    say("%d\n", e);
    if (!e) { char b[64]; say("%s\n", inet_ntop(AF_INET, &((struct sockaddr_in *)r->ai_addr)->sin_addr, b, 64)); freeaddrinfo(r); }
    struct passwd *p = getpwuid(getuid());
    say("%s\n", p ? p->pw_name : "nobody");
    return 0;
}
