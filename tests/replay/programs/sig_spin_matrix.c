// SPDX-License-Identifier: Apache-2.0
// a profiling timer while matrices are multiplied
#include "check.h"

static volatile int ticks;
static void h(int s) { ticks++; }
static double a[120][120], b[120][120], c[120][120];
int main() {
    signal(SIGPROF, h);
    for (int i = 0; i < 120; i++)
        for (int j = 0; j < 120; j++) {
            a[i][j] = i + j;
            b[i][j] = i - j;
        }
    struct itimerval t = {{0, 10000}, {0, 10000}};
    setitimer(ITIMER_PROF, &t, 0);
    for (int r = 0; r < 100; r++)
        for (int i = 0; i < 120; i++)
            for (int j = 0; j < 120; j++) {
                double s = 0;
                for (int k = 0; k < 120; k++) s += a[i][k] * b[k][j];
                c[i][j] = s;
            }
    printf("%f %d\n", c[5][7], ticks > 0);
    return 0;
}
