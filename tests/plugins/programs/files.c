// SPDX-License-Identifier: Apache-2.0
// Reads, writes, lists, renames and removes files; asks for time, chance and sleep; tries to get out of its folder.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char line[256] = "";
    FILE *file = fopen("/data/in.txt", "r");
    if (!file) {
        perror("in.txt");
        return 3;
    }
    fgets(line, sizeof line, file);
    fclose(file);
    printf("read: %s", line);
    file = fopen("/data/out.txt", "w");
    fprintf(file, "%s %s %ld\n", argc > 1 ? argv[1] : "-", getenv("HOME"), (long)time(0));
    fclose(file);
    DIR *folder = opendir("/data");
    int entries = 0;
    while (readdir(folder)) entries++;
    closedir(folder);
    unsigned char chance[8];
    getentropy(chance, sizeof chance);
    printf("%d entries, %02x\n", entries, chance[0]);
    struct timespec wait = {0, 1000000};
    nanosleep(&wait, 0);
    if (!fopen("/data/../../etc/passwd", "r")) printf("up: %s\n", strerror(errno));
    mkdir("/data/sub", 0700);
    rename("/data/out.txt", "/data/sub/o.txt");
    unlink("/data/sub/o.txt");
    rmdir("/data/sub");
    return 7;
}
