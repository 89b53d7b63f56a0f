// SPDX-License-Identifier: Apache-2.0
// clone with CLONE_FILES, CLONE_FS and CLONE_VM in a stack of its own
#include "check.h"

static char stack[65536] __attribute__((aligned(16)));
static int value, fd = -1;
static int run(void *arg) { value = 42; fd = open("/dev/null", O_RDONLY); CHECK(chdir("/") == 0); return (long)arg; }
int main(void) {
    int flags[] = {SIGCHLD, SIGCHLD | CLONE_VM, SIGCHLD | CLONE_VM | CLONE_FILES | CLONE_FS};
    char b[PATH_MAX];
    for (int i = 0; i < 3; i++) {
        value = 0, fd = -1;
        pid_t pid = clone(run, stack + sizeof stack, flags[i], (void *)(long)(i + 1));
        CHECK(pid > 0 && WEXITSTATUS(run_child(pid)) == i + 1);
        CHECK(value == (i ? 42 : 0));
        CHECK((i == 2) == (fd >= 0 && fcntl(fd, F_GETFD) == 0));
    }
    CHECK(getcwd(b, sizeof b) && !strcmp(b, "/"));
    say("clone\n");
    return 0;
}
