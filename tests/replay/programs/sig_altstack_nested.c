// SPDX-License-Identifier: Apache-2.0
// handlers on another stack, one within the other
#include "check.h"

static char st[65536];
static void h(int s) {
    char b[100];
    snprintf(b, 100, "on alt %d\n", (char *)b >= st && (char *)b < st + sizeof st);
    write(1, b, strlen(b));
    if (s == SIGUSR1) raise(SIGUSR2);
}
int main() {
    stack_t s = {.ss_sp = st, .ss_size = sizeof st};
    sigaltstack(&s, 0);
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &a, 0);
    sigaction(SIGUSR2, &a, 0);
    raise(SIGUSR1);
    stack_t o;
    sigaltstack(0, &o);
    printf("%d %zu\n", o.ss_flags, o.ss_size);
    return 0;
}
