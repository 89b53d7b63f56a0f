// SPDX-License-Identifier: Apache-2.0
// main returns 7
// expect: exit 7
#include "check.h"

int main(void) { say("seven\n"); return 7; }
