// SPDX-License-Identifier: Apache-2.0
// sendmmsg and recvmmsg
#include "check.h"

int main(void) {
    int s[2];
    char b[3][8] = {"one", "two", "six"}, r[3][8] = {""};
    struct iovec v[3], w[3];
    struct mmsghdr m[3] = {0}, n[3] = {0};
    for (int i = 0; i < 3; i++) { v[i] = (struct iovec){b[i], 3}, w[i] = (struct iovec){r[i], 8}; m[i].msg_hdr.msg_iov = v + i, n[i].msg_hdr.msg_iov = w + i; m[i].msg_hdr.msg_iovlen = n[i].msg_hdr.msg_iovlen = 1; }
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    CHECK(sendmmsg(s[0], m, 3, 0) == 3 && recvmmsg(s[1], n, 3, 0, NULL) == 3 && n[2].msg_len == 3);
    say("%s %s %s\n", r[0], r[1], r[2]);
    return 0;
}
