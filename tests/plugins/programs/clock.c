// SPDX-License-Identifier: Apache-2.0
// Asks for the time as often as its first argument says.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get"))) int now(int, int64_t, uint64_t *);

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 1000;
    uint64_t time, mixed = 0;
    for (long i = 0; i < count; i++) {
        now(1, 0, &time);
        mixed ^= time;
    }
    printf("%d\n", mixed == 42);
    return 0;
}
