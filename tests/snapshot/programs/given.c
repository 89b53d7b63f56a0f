// SPDX-License-Identifier: Apache-2.0
// Memory of odd kinds that is written, given back, taken again, moved and unmapped, a step for each line of input.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void fill(char *to, size_t size, uint64_t seed) {
    for (size_t at = 0; at + 8 <= size; at += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(to + at, &seed, 8);
    }
}

static char *map(size_t size, int flags) {
    char *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
    return at == MAP_FAILED ? 0 : at;
}

int main(int count, char **words) {
    int huge = count > 1 && strcmp(words[1], "hugetlb") == 0, swap = count > 1 && strcmp(words[1], "swap") == 0;
    char *plain = map(16 * MIB, MAP_PRIVATE), *large = map(8 * MIB, MAP_PRIVATE), *reserve = map(64 * MIB, MAP_PRIVATE | MAP_NORESERVE);
    madvise(plain, 16 * MIB, MADV_NOHUGEPAGE);
    madvise(large, 8 * MIB, MADV_HUGEPAGE);
    fill(plain, 16 * MIB, 1);
    fill(large, 8 * MIB, 2);
    strcpy(reserve + MIB, "the only page of the reserve");
    char *tables = huge ? map(4 * MIB, MAP_PRIVATE | MAP_HUGETLB) : 0, *common = huge ? map(2 * MIB, MAP_SHARED | MAP_HUGETLB) : 0;
    if (huge && (!tables || !common)) {
        puts("cannot");
        return 1;
    }
    if (huge) fill(tables, 4 * MIB, 3), fill(common, 2 * MIB, 4);
    char *out = swap ? map(8 * MIB, MAP_PRIVATE) : 0;
    if (swap) {
        madvise(out, 8 * MIB, MADV_NOHUGEPAGE);
        fill(out, 8 * MIB, 5);
        madvise(out, 8 * MIB, MADV_PAGEOUT);
    }
    puts("ready");
    fflush(stdout);
    char line[16];
    for (int step = 1; fgets(line, sizeof line, stdin); step++) {
        if (step == 1) {
            madvise(plain, 4 * MIB, MADV_DONTNEED);        // whole page tables
            madvise(plain + 9 * MIB, 8192, MADV_DONTNEED); // two pages
            madvise(large, 2 * MIB, MADV_DONTNEED);
            strcpy(reserve + 32 * MIB, "another page of the reserve");
        } else if (step == 2) {
            strcpy(plain + MIB, "written where nothing was any more");
            strcpy(large + 3 * MIB, "written into a large page");
            madvise(reserve + MIB, 4096, MADV_DONTNEED);
        } else if (step == 3) {
            madvise(plain + MIB, 4096, MADV_DONTNEED);
            munmap(large + 4 * MIB, 4 * MIB);
            plain = mremap(plain, 16 * MIB, 24 * MIB, MREMAP_MAYMOVE);
            fill(plain + 20 * MIB, MIB, 6);
        } else {
            fill(plain + 5 * MIB, 4096, (uint64_t)step);
        }
        if (huge) fill(tables + MIB, 4096, (uint64_t)step + 100), fill(common, 4096, (uint64_t)step + 200);
        if (swap) {
            fill(out + MIB, 4096, (uint64_t)step + 300);
            madvise(out, 8 * MIB, MADV_PAGEOUT);
        }
        puts("done");
        fflush(stdout);
    }
    return 0;
}
