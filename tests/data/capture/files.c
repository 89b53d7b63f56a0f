// SPDX-License-Identifier: Apache-2.0
// Files, directories, descriptors, readiness: one call after another, each with arguments worth showing.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>
#include <utime.h>

static char buffer[4096];

static void content(int fd) {
  char four[4], nine[9];
  struct iovec out[2] = {{"ab", 2}, {"cde", 3}}, in[2] = {{four, 4}, {nine, 9}};
  write(fd, "hello\n\0\1772\xff \"w\\", 16);
  pwrite(fd, "x", 1, 5);
  pread(fd, buffer, 4, 0);
  read(fd, buffer, 10);
  writev(fd, out, 2);
  lseek(fd, 0, SEEK_SET);
  readv(fd, in, 2);
  preadv(fd, in, 2, 1);
  pwritev(fd, out, 2, 3);
  syscall(SYS_preadv2, fd, in, 2, 1, 0, RWF_NOWAIT);
  read(99, buffer, 10);
  write(fd, NULL, 0);
  read(fd, (void *)8, 4);
}

static void facts(int fd) {
  struct stat st;
  struct statx sx;
  fstat(fd, &st);
  stat("file", &st);
  lstat("absent", &st);
  syscall(SYS_stat, "/dev/null", &st);
  syscall(SYS_stat, "/tmp", &st);
  syscall(SYS_lstat, "/proc/self", &st);
  statx(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_SIZE, &sx);
  statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx);
  access("/tmp", R_OK | W_OK);
  access("/tmp", F_OK);
  faccessat(AT_FDCWD, "absent", X_OK, 0);
  syscall(SYS_access, "/tmp", 0x18);
}

static void names(void) {
  mkdir("directory", 0777);
  mkdirat(AT_FDCWD, "directory", 01755);
  rmdir("directory");
  rename("file", "other");
  syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "file", RENAME_NOREPLACE);
  link("file", "second");
  unlink("second");
  symlink("target x\t\303\244", "link");
  readlink("link", buffer, 100);
  readlinkat(AT_FDCWD, "link", buffer, 4);
  unlinkat(AT_FDCWD, "link", 0);
  unlinkat(AT_FDCWD, "link", AT_REMOVEDIR);
  linkat(AT_FDCWD, "a", AT_FDCWD, "b", AT_SYMLINK_FOLLOW);
  open("", O_RDONLY);
  open(NULL, O_RDONLY);
  open((char *)16, O_WRONLY | O_APPEND);
  openat(AT_FDCWD, "absent", O_RDWR | O_EXCL | O_SYNC | O_NOFOLLOW | O_NONBLOCK);
  openat(99, "absent", O_CREAT | O_TMPFILE | O_DIRECTORY, 0600);
  syscall(SYS_openat2, AT_FDCWD, "/tmp", &(uint64_t[]){O_RDONLY | O_CLOEXEC, 0, 8}, 24);
  getcwd(buffer, 1);
}

static void rights(int fd) {
  struct utimbuf old = {1000000000, 2};
  struct timespec special[2] = {{1, UTIME_NOW}, {3, UTIME_OMIT}}, fixed[2] = {{1600000000, 123}, {3, 4}};
  struct timeval coarse[2] = {{1, 2}, {3, 4}};
  chmod("file", 0);
  chmod("file", 04755);
  fchmod(fd, 0644);
  fchmodat(AT_FDCWD, "file", 07, 0);
  chown("file", -1, -1);
  umask(022);
  umask(0);
  umask(022);
  mknod("pipe", S_IFIFO | 0600, 0);
  unlink("pipe");
  utime("file", &old);
  syscall(SYS_utimes, "file", coarse);
  utimensat(AT_FDCWD, "file", special, 0);
  utimensat(AT_FDCWD, "file", fixed, AT_SYMLINK_NOFOLLOW);
  utimensat(AT_FDCWD, "file", NULL, 0);
  setxattr("file", "user.a", "v\0w", 3, XATTR_CREATE);
  getxattr("absent", "user.b", NULL, 0);
}

static void control(int fd) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
  int number = 1, pair[2];
  fcntl(fd, F_GETFD);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_GETFD);
  fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
  fcntl(fd, F_DUPFD, 100);
  fcntl(fd, F_DUPFD_CLOEXEC, 0);
  fcntl(fd, F_SETLK, &range);
  fcntl(fd, F_OFD_SETLK, &range);
  fcntl(fd, F_GETSIG);
  fcntl(fd, F_SETLEASE, F_UNLCK);
  fcntl(fd, F_NOTIFY, DN_ACCESS);
  fcntl(fd, 9999, 1);
  flock(fd, LOCK_EX | LOCK_NB);
  flock(fd, LOCK_UN);
  ftruncate(fd, 100);
  truncate("file", 50);
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  fallocate(99, FALLOC_FL_KEEP_SIZE, 0, 100);
  pipe(pair);
  pipe2(pair, O_CLOEXEC | O_NONBLOCK);
  dup2(fd, 50);
  dup3(fd, 51, O_CLOEXEC);
  ioctl(fd, FIONBIO, &number);
  ioctl(pair[0], FIONREAD, &number);
  ioctl(fd, FIOCLEX);
  ioctl(fd, 0x1234, 5);
  ioctl(fd, TIOCGWINSZ, buffer);
  syscall(SYS_ioctl, fd, 0xc0045878u, 5);
  memfd_create("hi", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  syscall(SYS_close_range, 100u, 200u, 0);
}

static void ready(int fd) {
  int pair[2];
  pipe(pair);
  struct pollfd wanted[3] = {{fd, POLLIN}, {pair[0], POLLIN | POLLPRI}, {-1, POLLOUT}};
  struct timespec brief = {0, 1000};
  struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 5}}, found[4];
  fd_set in, out;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  poll(wanted, 3, 0);
  poll(wanted + 2, 1, 0);
  poll(NULL, 0, 1);
  ppoll(wanted + 1, 1, &brief, &signals);
  FD_ZERO(&in);
  FD_SET(pair[0], &in);
  FD_SET(fd, &in);
  FD_ZERO(&out);
  FD_SET(pair[1], &out);
  syscall(SYS_select, 60, &in, &out, NULL, NULL);
  FD_ZERO(&in);
  syscall(SYS_pselect6, 5, &in, NULL, NULL, &brief, &(uint64_t[]){0, 8});
  int polled = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(polled, EPOLL_CTL_ADD, pair[1], &event);
  epoll_ctl(polled, EPOLL_CTL_MOD, pair[1], (event.events = EPOLLOUT | EPOLLONESHOT, &event));
  epoll_wait(polled, found, 4, 10);
  epoll_pwait(polled, found, 4, 0, &signals);
  epoll_ctl(polled, EPOLL_CTL_DEL, pair[1], &event);
  eventfd(7, EFD_CLOEXEC | EFD_NONBLOCK);
  int watch = inotify_init1(IN_NONBLOCK);
  inotify_add_watch(watch, ".", IN_CREATE | IN_DELETE);
  off_t from = 0;
  sendfile(pair[1], fd, &from, 10);
  splice(pair[0], NULL, pair[1], NULL, 4, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int main(void) {
  int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0640);
  content(fd);
  facts(fd);
  names();
  rights(fd);
  control(fd);
  ready(fd);
  int directory = open("/etc/apt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  syscall(SYS_getdents64, directory, buffer, 4096);
  syscall(SYS_getdents64, directory, buffer, 4096);
  return 0;
}
