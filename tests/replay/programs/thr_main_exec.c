// SPDX-License-Identifier: Apache-2.0
// main executes a program while threads spin
#include "check.h"

static void *s(void *a) {
    volatile unsigned long n = 0;
    for (;;) n++;
}
int main() {
    pthread_t x;
    for (int i = 0; i < 3; i++) pthread_create(&x, 0, s, 0);
    usleep(5000);
    execl("/bin/echo", "echo", "main execs", (char *)0);
}
