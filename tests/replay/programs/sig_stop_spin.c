// SPDX-License-Identifier: Apache-2.0
// a child that counts in shared memory is stopped
#include "check.h"

int main() {
    int *p = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t c = fork();
    if (!c) {
        for (;;) (*p)++;
    }
    usleep(20000);
    kill(c, SIGSTOP);
    int s;
    waitpid(c, &s, WUNTRACED);
    int a = *p;
    usleep(5000);
    int b = *p;
    printf("%d %d\n", a == b, a);
    kill(c, SIGCONT);
    usleep(5000);
    kill(c, SIGKILL);
    wait(&s);
    printf("%x %d\n", s, *p >= a);
    return 0;
}
