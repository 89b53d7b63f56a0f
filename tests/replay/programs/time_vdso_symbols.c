// SPDX-License-Identifier: Apache-2.0
// functions of the vDSO by name
#include "check.h"

#include <link.h>
int main() {
    unsigned long b = getauxval(AT_SYSINFO_EHDR);
    printf("%d\n", b != 0);
    void *h = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    int (*f)(int, void *) = h ? dlsym(h, "__vdso_clock_gettime") : 0;
    if (f) {
        struct timespec t;
        printf("%d %ld\n", f(1, &t), t.tv_nsec);
    }
    time_t (*g)(time_t *) = h ? dlsym(h, "__vdso_time") : 0;
    if (g) printf("%ld\n", g(0));
    return 0;
}
