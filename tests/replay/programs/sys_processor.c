// SPDX-License-Identifier: Apache-2.0
// What programs set up in the processor: a segment of their own (modify_ldt), and CPUID that raises a signal (arch_prctl).
#include "check.h"
#include <asm/ldt.h>
#include <cpuid.h>
static sigjmp_buf back;
static void handler(int number) { siglongjmp(back, number); }
static int in_segment(void) {
    int value;
    __asm__ volatile("mov %%gs, %%ecx\n mov $7, %%eax\n mov %%eax, %%gs\n movl %%gs:0, %0\n mov %%ecx, %%gs"
                     : "=&r"(value)
                     :
                     : "eax", "ecx");
    return value;
}
int main(void) {
    int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    CHECK(low != MAP_FAILED);
    *low = 66;
    struct user_desc segment = {.base_addr = (unsigned)(uintptr_t)low, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1};
    segment.useable = 1;
    if (syscall(SYS_modify_ldt, 1, &segment, sizeof segment) == 0) {
        say("segment %d\n", in_segment());
        pid_t pid = fork();
        if (pid == 0) _exit(in_segment());
        say("child %d\n", WEXITSTATUS(run_child(pid)));
    }
    signal(SIGSEGV, handler);
    if (syscall(SYS_arch_prctl, 0x1012, 0) != 0) return 0; // ARCH_SET_CPUID
    unsigned a, b, c, d;
    if (sigsetjmp(back, 1)) say("cpuid raises a signal\n");
    else {
        __cpuid(0, a, b, c, d);
        say("cpuid answers\n");
    }
    return 0;
}
