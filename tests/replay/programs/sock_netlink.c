// SPDX-License-Identifier: Apache-2.0
// a netlink socket: the list of interfaces
#include "check.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
int main(void) {
    struct { struct nlmsghdr h; struct rtgenmsg g; } q = {{sizeof q, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
    char b[16384];
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (s < 0) { say("no netlink: %d\n", errno); return 0; }
    CHECK(send(s, &q, sizeof q, 0) == sizeof q);
    ssize_t n = recv(s, b, sizeof b, 0);
    CHECK(n > 0);
    say("%zd bytes\n", n);
    return 0;
}
