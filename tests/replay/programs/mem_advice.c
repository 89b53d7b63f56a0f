// SPDX-License-Identifier: Apache-2.0
// every kind of advice
#include "check.h"

int main() {
    char *p = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int adv[] = {0, 1, 2, 3, 4, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25};
    for (int i = 0; i < sizeof adv / 4; i++) {
        memset(p, 5, 65536);
        int r = madvise(p, 65536, adv[i]);
        printf("%d %d %d %d\n", adv[i], r, r ? errno : 0, adv[i] == 8 ? 0 : p[100]);
    }
    return 0;
}
