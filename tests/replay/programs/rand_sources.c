// SPDX-License-Identifier: Apache-2.0
// sources of randomness
#include "check.h"

int main() {
    unsigned a;
    getrandom(&a, 4, 0);
    printf("%u\n", a);
    getrandom(&a, 4, GRND_NONBLOCK | GRND_RANDOM);
    printf("%u\n", a);
    getentropy(&a, 4);
    printf("%u\n", a);
    int f = open("/dev/urandom", 0);
    read(f, &a, 4);
    printf("%u\n", a);
    printf("%u\n", arc4random());
    unsigned char *r = (void *)getauxval(AT_RANDOM);
    printf("%02x%02x\n", r[0], r[7]);
    printf("%p %p %p\n", &a, main, malloc(5));
    srand(time(0) ^ getpid());
    printf("%d\n", rand());
    char t[] = "tXXXXXX";
    mkstemp(t);
    puts(t);
    return 0;
}
