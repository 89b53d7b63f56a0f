// SPDX-License-Identifier: Apache-2.0
// Executes itself again, at the same addresses: for each line of input, or without end. Each life fills the same memory otherwise.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

static volatile char filled[64 * 4096] = {1};

int main(int count, char **words) {
    int life = count > 2 ? atoi(words[2]) : 0, without_end = count > 1 && strcmp(words[1], "on") == 0;
    if (life == 0) {
        personality(ADDR_NO_RANDOMIZE);
        execl("/proc/self/exe", words[0], without_end ? "on" : "wait", "1", (char *)0);
    }
    memset((void *)filled, life, sizeof filled);
    char next[16], line[16];
    snprintf(next, sizeof next, "%d", life % 120 + 1);
    if (life == 1 || !without_end) {
        puts("ready");
        fflush(stdout);
    }
    if (without_end) usleep(2000);
    else if (!fgets(line, sizeof line, stdin)) return 0;
    execl("/proc/self/exe", words[0], without_end ? "on" : "wait", next, (char *)0);
    return 1;
}
