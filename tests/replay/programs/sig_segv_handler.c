// SPDX-License-Identifier: Apache-2.0
// SIGSEGV: the address, mending the page and going on
#include "check.h"

static char *page;
static void on(int n, siginfo_t *i, void *c) { (void)n, (void)c; CHECK(i->si_addr == page + 100 && i->si_code == SEGV_ACCERR); CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0); }
int main(void) {
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &a, NULL) == 0);
    page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[100] = 'm';
    CHECK(page[100] == 'm');
    say("mended at %p\n", page);
    return 0;
}
