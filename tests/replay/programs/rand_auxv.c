// SPDX-License-Identifier: Apache-2.0
// AT_RANDOM and the rest of the auxiliary vector
#include "check.h"

int main(void) {
    unsigned char *r = (void *)getauxval(AT_RANDOM);
    for (int i = 0; i < 16; i++) say("%02x", r[i]);
    say("\npage %lu base %lx entry %lx secure %lu clock %lu uid %lu exec %s platform %s hw %lx\n", getauxval(AT_PAGESZ), getauxval(AT_BASE), getauxval(AT_ENTRY), getauxval(AT_SECURE), getauxval(AT_CLKTCK), getauxval(AT_UID), (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM), getauxval(AT_HWCAP));
    return 0;
}
