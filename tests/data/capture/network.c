// SPDX-License-Identifier: Apache-2.0
// Sockets of several families, on loopback or not connected at all.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char buffer[4096];
static struct iovec two[2] = {{"ab", 2}, {"cde", 3}};

static void addresses(void) {
  struct sockaddr_un path = {AF_UNIX, "socket"}, name = {AF_UNIX, "\0observer\1x"}, none = {AF_UNIX};
  struct sockaddr_in6 six = {AF_INET6, htons(5353), htonl(7), IN6ADDR_LOOPBACK_INIT, 0};
  struct sockaddr_nl link = {AF_NETLINK, 0, 0, 1};
  struct sockaddr plain = {AF_UNSPEC};
  int u = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), d = socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP);
  int n = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  socket(99, SOCK_STREAM, 5);
  bind(u, (void *)&path, sizeof path);
  bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&name, 2 + 11);
  connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&path, 2 + 7);
  bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&none, 2);
  connect(d, (void *)&six, sizeof six);
  sendto(d, "hey", 3, MSG_NOSIGNAL | MSG_DONTWAIT, (void *)&six, sizeof six);
  connect(d, &plain, 16);
  connect(d, NULL, 0);
  connect(d, &plain, 1);
  bind(n, (void *)&link, sizeof link);
  unlink("socket");
}

static void stream(void) {
  struct sockaddr_in four = {AF_INET, htons(0), {htonl(INADDR_LOOPBACK)}};
  struct sockaddr_storage peer;
  int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP), client = socket(AF_INET, SOCK_STREAM, 0);
  bind(server, (void *)&four, sizeof four);
  listen(server, 5);
  getsockname(server, (void *)&four, &(socklen_t){sizeof four});
  connect(client, (void *)&four, sizeof four);
  int accepted = accept4(server, (void *)&peer, &(socklen_t){sizeof peer}, SOCK_CLOEXEC);
  accept(server, NULL, NULL);
  getpeername(client, (void *)&peer, &(socklen_t){sizeof peer});
  send(client, "data", 4, MSG_MORE);
  recv(accepted, buffer, 100, 0);
  recvfrom(accepted, buffer, 10, MSG_DONTWAIT, (void *)&peer, &(socklen_t){sizeof peer});
  sendmsg(client, &(struct msghdr){.msg_iov = two, .msg_iovlen = 2}, 0);
  recvmsg(accepted, &(struct msghdr){.msg_iov = &(struct iovec){buffer, 20}, .msg_iovlen = 1}, MSG_PEEK);
  shutdown(client, SHUT_RDWR);
}

static void options(void) {
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct linger linger = {1, 3};
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 4);
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
  setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, 8);
  setsockopt(s, SOL_IP, IP_TTL, &one, 4);
  setsockopt(s, SOL_SOCKET, 9999, &one, 4);
  setsockopt(s, 777, 3, &one, 4);
  setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &one, 2);
  setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
  getsockopt(s, SOL_SOCKET, SO_ERROR, &one, &(socklen_t){4});
  getsockopt(s, SOL_SOCKET, SO_TYPE, &one, &(socklen_t){4});
}

static void descriptors(void) {
  int pair[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  char control[CMSG_SPACE(8)] = {0}, back[64];
  struct msghdr out = {.msg_iov = two, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&out);
  *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(8)};
  memcpy(CMSG_DATA(rights), (int[]){1, 2}, 8);
  sendmsg(pair[0], &out, 0);
  struct iovec into = {buffer, 20};
  recvmsg(pair[1], &(struct msghdr){.msg_iov = &into, .msg_iovlen = 1, .msg_control = back, .msg_controllen = 64}, 0);
}

int main(void) {
  addresses();
  stream();
  options();
  descriptors();
  return 0;
}
