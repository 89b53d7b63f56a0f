// SPDX-License-Identifier: Apache-2.0
// many datagrams at once
#include "check.h"

int main() {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in s = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    bind(a, (void *)&s, sizeof s);
    socklen_t n = sizeof s;
    getsockname(a, (void *)&s, &n);
    connect(b, (void *)&s, n);
    struct mmsghdr m[4] = {0};
    struct iovec v[4];
    char t[4][20];
    for (int i = 0; i < 4; i++) {
        sprintf(t[i], "dgram%d", i);
        v[i] = (struct iovec){t[i], 7};
        m[i].msg_hdr.msg_iov = v + i;
        m[i].msg_hdr.msg_iovlen = 1;
    }
    printf("%d\n", sendmmsg(b, m, 4, 0));
    char r[4][20];
    struct sockaddr_in f[4];
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){r[i], 5};
        m[i].msg_hdr.msg_name = f + i;
        m[i].msg_hdr.msg_namelen = sizeof f[0];
    }
    struct timespec ts = {1, 0};
    int k = recvmmsg(a, m, 4, MSG_WAITFORONE, &ts);
    for (int i = 0; i < k; i++)
        printf("%u %.5s %x %u\n", m[i].msg_len, r[i], m[i].msg_hdr.msg_flags & MSG_TRUNC,
               m[i].msg_hdr.msg_namelen);
    return 0;
}
