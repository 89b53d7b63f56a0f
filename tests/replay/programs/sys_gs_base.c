// SPDX-License-Identifier: Apache-2.0
// the gs base set by an instruction
// flags: -mfsgsbase -O1
#include "check.h"

#include <immintrin.h>
int main() {
    static long b[3] = {7, 8, 9};
    _writegsbase_u64((long)b);
    getpid();
    syscall(SYS_getppid);
    long v;
    asm volatile("mov %%gs:16,%0" : "=r"(v));
    printf("%ld %d\n", v, _readgsbase_u64() == (long)b);
    return 0;
}
