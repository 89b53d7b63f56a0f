// SPDX-License-Identifier: Apache-2.0
// Threads execute a program at the same time while the first is ready to run; and one does when the first has ended.
// run: race
#include "check.h"
static pthread_barrier_t barrier;
static char *next;
static void *executes(void *unused) {
    (void)unused;
    if (*next == 'e') pthread_barrier_wait(&barrier);
    else usleep(5000);
    char *words[] = {"self", next, NULL};
    execv("/proc/self/exe", words);
    return NULL;
}
int main(int count, char **words) {
    pthread_t thread;
    CHECK(count == 2);
    say("%s\n", words[1]);
    if (words[1][0] == 'r') {
        next = "ended leader";
        CHECK(pthread_barrier_init(&barrier, NULL, 5) == 0);
        for (int n = 0; n < 4; n++) CHECK(pthread_create(&thread, NULL, executes, NULL) == 0);
        pthread_barrier_wait(&barrier);
        pause();
    }
    if (words[1][0] == 'e') {
        next = "last";
        CHECK(pthread_create(&thread, NULL, executes, NULL) == 0);
        syscall(SYS_exit, 0);
    }
    return 0;
}
