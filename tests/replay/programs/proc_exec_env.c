// SPDX-License-Identifier: Apache-2.0
// exec with another environment and arguments; execveat and fexecve
#include "check.h"

extern char **environ;
int main(int argc, char **argv) {
    if (argc == 3) { for (char **e = environ; *e; e++) say("%s\n", *e); say("%s %s\n", argv[1], argv[2]); return 3; }
    char *args[] = {"me", "with spaces", "", NULL}, *env[] = {"ONE=1", "TWO=two words", NULL};
    pid_t pid = fork();
    if (!pid) { execve("/proc/self/exe", args, env); _exit(97); }
    CHECK(WEXITSTATUS(run_child(pid)) == 3);
    pid = fork();
    if (!pid) { int fd = open("/proc/self/exe", O_RDONLY); fexecve(fd, args, env); _exit(97); }
    CHECK(WEXITSTATUS(run_child(pid)) == 3);
    CHECK(execve("/none", args, env) == -1 && errno == ENOENT);
    CHECK(execve("/etc/passwd", args, env) == -1 && errno == EACCES);
    return 0;
}
