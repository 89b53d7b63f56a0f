// SPDX-License-Identifier: Apache-2.0
// atexit order, on_exit, buffered output flushed at the end
// expect: exit 3
#include "check.h"

static void a(void) { printf("a "); }
static void b(void) { printf("b "); }
static void c(int s, void *x) { printf("c%d%ld ", s, (long)x); }
int main(void) { atexit(a), atexit(b), on_exit(c, (void *)9); printf("main "); exit(3); }
