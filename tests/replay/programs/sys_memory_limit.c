// SPDX-License-Identifier: Apache-2.0
// RLIMIT_AS: malloc and mmap fail
#include "check.h"

int main(void) {
    struct rlimit l = {64 << 20, 64 << 20};
    CHECK(setrlimit(RLIMIT_AS, &l) == 0);
    CHECK(!malloc(100 << 20) && errno == ENOMEM && mmap(0, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    say("limited\n");
    return 0;
}
