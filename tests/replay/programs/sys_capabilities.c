// SPDX-License-Identifier: Apache-2.0
// capget, and dropping from the bounding set
#include "check.h"

#include <linux/capability.h>
int main(void) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    CHECK(syscall(SYS_capget, &h, d) == 0 && syscall(SYS_capset, &h, d) == 0);
    int r = prctl(PR_CAPBSET_DROP, 0);
    say("%x %x %d\n", d[0].effective, d[0].permitted, r ? errno : 0);
    return 0;
}
