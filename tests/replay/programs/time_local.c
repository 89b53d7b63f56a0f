// SPDX-License-Identifier: Apache-2.0
// localtime, strftime, mktime with a time zone
#include "check.h"

int main(void) {
    struct tm m;
    time_t t = 86400 * 200, n = time(NULL);
    char b[64];
    setenv("TZ", "Europe/Berlin", 1), tzset();
    CHECK(localtime_r(&t, &m) && strftime(b, 64, "%F %T %Z", &m) && mktime(&m) == t);
    say("%s\n", b);
    localtime_r(&n, &m), strftime(b, 64, "%F %T", &m);
    say("%s\n", b);
    return 0;
}
