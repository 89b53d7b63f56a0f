// SPDX-License-Identifier: Apache-2.0
// timer signals in a small interpreter, which comes by the same places with the same registers again and again; what differs is far off
#include "check.h"

typedef struct value { long number; struct value *next; } value;
static value *stack[64], *unused, *counter;
static unsigned char program[] = {0, 1, 2, 0, 3, 4, 5};
static long steps_seen[12];
static volatile int signals;
static value *fresh(long number) {
    value *v = unused;
    if (v) unused = v->next; else v = malloc(sizeof *v);
    v->number = number;
    return v;
}
static void drop(value *v) { v->next = unused; unused = v; }
static __attribute__((noinline)) int step(int at, int *top) {
    switch (program[at]) {
        case 0: stack[(*top)++] = fresh(counter->number); break;
        case 1: stack[(*top)++] = fresh(1); break;
        case 2: --*top; stack[*top - 1]->number += stack[*top]->number; drop(stack[*top]); break;
        case 3: --*top; drop(stack[*top]); break;
        case 4: --*top; drop(counter); counter = stack[*top]; break;
        case 5: return signals < 12 ? 0 : -1;
    }
    return at + 1;
}
static void on_alarm(int s) {
    (void)s;
    if (signals < 12) steps_seen[signals++] = counter->number;
}
int main() {
    struct itimerval every = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    int top = 0;
    counter = fresh(0);
    signal(SIGALRM, on_alarm);
    CHECK(setitimer(ITIMER_REAL, &every, 0) == 0);
    for (int at = 0; at >= 0;) at = step(at, &top);
    CHECK(setitimer(ITIMER_REAL, &never, 0) == 0);
    for (int i = 0; i < 12; i++) say("%ld\n", steps_seen[i]);
    return 0;
}
