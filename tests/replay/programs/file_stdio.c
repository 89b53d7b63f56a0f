// SPDX-License-Identifier: Apache-2.0
// buffered reading and writing: fopen, fgets, fseek, ungetc, fprintf, tmpfile
#include "check.h"

int main(void) {
    char b[64];
    FILE *f = fopen("f", "w+");
    CHECK(f && fprintf(f, "line %d\nline %d\n", 1, 2) == 14);
    rewind(f);
    CHECK(fgets(b, 64, f) && !strcmp(b, "line 1\n") && fgetc(f) == 'l' && ungetc('L', f) == 'L');
    CHECK(fgets(b, 64, f) && !strcmp(b, "Line 2\n") && !fgets(b, 64, f) && feof(f));
    CHECK(fclose(f) == 0);
    FILE *t = tmpfile();
    CHECK(t && fputs("temporary", t) >= 0 && fclose(t) == 0);
    printf("%s", b);
    return 0;
}
