// SPDX-License-Identifier: Apache-2.0
// addresses of a static program
// flags: -static-pie -O2
#include "check.h"

int main() {
    printf("%p\n", main);
    int x;
    printf("%p\n", &x);
    return 0;
}
