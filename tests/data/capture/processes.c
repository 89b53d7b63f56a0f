// SPDX-License-Identifier: Apache-2.0
// Children and their ends, identities, limits, signals, clocks, memory, futexes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void handler(int signal) { (void)signal; }

static void children(void) {
  int status;
  pid_t child = fork();
  if (child == 0) _exit(3);
  wait4(child, &status, 0, NULL);
  if ((child = fork()) == 0) kill(getpid(), SIGKILL);
  wait4(-1, &status, WUNTRACED, NULL);
  wait4(-1, &status, WNOHANG, NULL);
  if (vfork() == 0) _exit(0);
  wait(NULL);
  if (fork() == 0) {
    char *argv[] = {"ls", "-l", "q\"uo\n", NULL}, *env[] = {"A=b", "C=d", NULL}, *end[] = {"/bin/true", NULL};
    execve("/nonexistent", argv, env);
    execve("/nonexistent", NULL, env);
    syscall(SYS_execveat, AT_FDCWD, "/bin/true", end, env + 1, 0);
  }
  wait(NULL);
}

static void identities(void) {
  uid_t real, effective, saved;
  struct rlimit limit;
  struct sched_param parameters = {0};
  getuid();
  syscall(SYS_setresuid, -1, getuid(), -1);
  getresuid(&real, &effective, &saved);
  syscall(SYS_getrlimit, RLIMIT_NOFILE, &limit);
  prlimit(0, RLIMIT_CORE, &(struct rlimit){1000, RLIM_INFINITY}, NULL);
  getpriority(PRIO_PROCESS, 0);
  syscall(SYS_ioprio_get, 1, 0);
  sched_yield();
  sched_getparam(0, &parameters);
  sched_setscheduler(0, SCHED_BATCH, &parameters);
  sched_getscheduler(0);
  sched_get_priority_max(SCHED_FIFO);
  personality(0xffffffff);
  syscall(SYS_capget, &(struct __user_cap_header_struct){0, 0}, NULL);
  unshare(0);
  setns(99, CLONE_NEWNET);
  syscall(SYS_kcmp, 1, 2, 1, 0, 0);
  syscall(SYS_ptrace, PTRACE_CONT, 99999, 0, SIGINT);
  syscall(SYS_ptrace, PTRACE_SETOPTIONS, 99999, 0, 7);
}

static void options(void) {
  int number;
  prctl(PR_SET_NAME, "named");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_GET_PDEATHSIG, &number);
  prctl(PR_SET_DUMPABLE, 1);
  prctl(PR_GET_DUMPABLE);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN);
  prctl(PR_GET_SECUREBITS);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0);
  prctl(12345, 1, 2, 3, 4);
  syscall(SYS_arch_prctl, 0x3001, &number);
}

static void signals(void) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
  sigset_t set, previous;
  stack_t stack;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = SIG_IGN, action.sa_flags = 0;
  sigaction(SIGUSR1, &action, &old);
  sigfillset(&action.sa_mask), sigdelset(&action.sa_mask, SIGINT);
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGRTMIN + 1, &action, NULL);
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigprocmask(SIG_UNBLOCK, &set, &previous);
  sigfillset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, &previous);
  sigpending(&previous);
  sigaltstack(NULL, &stack);
  kill(getpid(), 99);
  syscall(SYS_tkill, 99999, SIGRTMIN);
  action.sa_handler = handler, action.sa_flags = 0;
  sigaction(SIGALRM, &action, NULL);
}

static void times(void) {
  struct timespec brief = {0, 1000};
  struct itimerval alarm_now = {{0, 0}, {0, 3000}};
  nanosleep(&brief, NULL);
  setitimer(ITIMER_REAL, &alarm_now, NULL);
  pause();
  setitimer(ITIMER_REAL, &alarm_now, NULL);
  syscall(SYS_poll, NULL, 0, 1000);
  syscall(SYS_clock_gettime, 77, &brief);
  clock_getres(CLOCK_REALTIME, &brief);
}

static void memory(void) {
  uint32_t word = 0;
  struct timespec brief = {0, 1000};
  void *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(area, 4096, PROT_NONE);
  madvise(area, 4096, MADV_DONTNEED);
  madvise(area, 4096, 77);
  mremap(area, 8192, 4096, MREMAP_MAYMOVE);
  msync(area, 4096, MS_SYNC | MS_INVALIDATE);
  munmap(area, 8192);
  mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (60 << 26), -1, 0);
  mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 99, 4096);
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
  syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL);
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &brief);
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &brief, NULL, -1);
  syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &word, 1);
  syscall(SYS_futex, &word, FUTEX_WAKE_OP, 1, 1, &word, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GT, 1));
}

int main(void) {
  children();
  identities();
  options();
  signals();
  times();
  memory();
  return 0;
}
