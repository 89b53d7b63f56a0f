// SPDX-License-Identifier: Apache-2.0
// an alarm that nobody handles, in a counting loop
// expect: signal 14
#include "check.h"

volatile unsigned long n;
int main() {
    ualarm(30000, 0);
    for (;;) n++;
}
