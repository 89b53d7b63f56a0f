// SPDX-License-Identifier: Apache-2.0
// personality(2) READ_IMPLIES_EXEC: what is mapped to be read is executed.
#include "check.h"
static void *code(void) {
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    page[0] = 0xc3; // ret
    return page;
}
int main(void) {
    CHECK(personality(READ_IMPLIES_EXEC) != -1);
    ((void (*)(void))code())();
    say("mapped\n");
    void *page = code();
    CHECK(mprotect(page, 4096, PROT_NONE) == 0 && mprotect(page, 4096, PROT_READ) == 0);
    ((void (*)(void))page)();
    say("protected\n");
    pid_t pid = fork();
    if (pid == 0) {
        ((void (*)(void))code())();
        _exit(3);
    }
    say("child %d\n", WEXITSTATUS(run_child(pid)));
    return 0;
}
