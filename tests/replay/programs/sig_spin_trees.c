// SPDX-License-Identifier: Apache-2.0
// an alarm while trees are built
#include "check.h"

static volatile int st;
static void h(int s) { st = 1; }
struct n {
    struct n *l, *r;
    int v;
};
static struct n *mk(int d) {
    struct n *x = malloc(sizeof *x);
    x->v = d;
    x->l = d ? mk(d - 1) : 0;
    x->r = d ? mk(d - 1) : 0;
    return x;
}
static int sum(struct n *x) {
    int s = x ? x->v + sum(x->l) + sum(x->r) : 0;
    free(x);
    return s;
}
int main() {
    signal(SIGALRM, h);
    ualarm(60000, 0);
    long t = 0, k = 0;
    while (!st) {
        t += sum(mk(8));
        k++;
    }
    printf("%ld %ld\n", t, k);
    return 0;
}
