// SPDX-License-Identifier: Apache-2.0
// all ways to execute
#include "check.h"

extern char **environ;
static void r(int k) {
    fflush(stdout);
    pid_t c = fork();
    if (!c) {
        char *a[] = {"sh", "-c", "echo $0 $X; exit 2", 0}, *e[] = {"X=1", "PATH=/bin", 0};
        switch (k) {
        case 0: execv("/bin/sh", a);
        case 1: execve("/bin/sh", a, e);
        case 2: execvp("sh", a);
        case 3: execvpe("sh", a, e);
        case 4: execl("/bin/sh", "sh", "-c", "echo l", (char *)0);
        case 5: execle("/bin/sh", "sh", "-c", "echo $X", (char *)0, e);
        case 6: fexecve(open("/bin/sh", O_RDONLY | O_CLOEXEC), a, e);
        case 7: syscall(SYS_execveat, open("/bin", O_PATH), "sh", a, e, 0);
        }
        _exit(99);
    }
    int s;
    waitpid(c, &s, 0);
    printf("%d %x\n", k, s);
}
int main() {
    for (int i = 0; i < 8; i++) r(i);
    return 0;
}
