// SPDX-License-Identifier: Apache-2.0
// kcmp and process_vm_readv of a child
#include "check.h"

int main(void) {
    pid_t pid = fork();
    static char secret[16];
    if (!pid) { strcpy(secret, "in the child"); kill(getpid(), SIGSTOP); _exit(0); }
    int s;
    CHECK(waitpid(pid, &s, WUNTRACED) == pid);
    char b[16] = "";
    struct iovec l = {b, 16}, r = {secret, 16};
    ssize_t n = process_vm_readv(pid, &l, 1, &r, 1, 0);
    say("%zd %s kcmp %ld\n", n, n > 0 ? b : "refused", syscall(SYS_kcmp, getpid(), pid, 0, 1, 1));
    kill(pid, SIGKILL), run_child(pid);
    return 0;
}
