// SPDX-License-Identifier: Apache-2.0
// _exit does not flush
#include "check.h"

int main(void) {
    printf("never seen");
    _exit(0);
    return 0;
}
