// SPDX-License-Identifier: Apache-2.0
// loads the maths library and calls a function
#include "check.h"

#include <dlfcn.h>
int main(void) {
    void *h = dlopen("libm.so.6", RTLD_NOW);
    if (!h) { say("no libm\n"); return 0; }
    double (*f)(double) = (double (*)(double))dlsym(h, "cbrt");
    say("%.12f\n", f(27));
    return dlclose(h);
}
