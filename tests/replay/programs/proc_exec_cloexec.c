// SPDX-License-Identifier: Apache-2.0
// close-on-exec descriptors are gone, others stay
#include "check.h"

int main(int argc, char **argv) {
    if (argc == 3) {
        int a = atoi(argv[1]), b = atoi(argv[2]);
        CHECK(fcntl(a, F_GETFD) == -1 && errno == EBADF && fcntl(b, F_GETFD) == 0);
        say("kept %d\n", b);
        return 0;
    }
    char x[8], y[8];
    sprintf(x, "%d", open("/dev/null", O_RDONLY | O_CLOEXEC)), sprintf(y, "%d", open("/dev/null", O_RDONLY));
    execl("/proc/self/exe", "me", x, y, (char *)0);
    return 97;
}
