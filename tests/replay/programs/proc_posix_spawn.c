// SPDX-License-Identifier: Apache-2.0
// posix_spawn with file actions
#include "check.h"

#include <spawn.h>
extern char **environ;
int main(void) {
    int p[2];
    pid_t pid;
    char b[64] = "", *args[] = {"echo", "spawned", NULL};
    posix_spawn_file_actions_t a;
    CHECK(pipe(p) == 0 && posix_spawn_file_actions_init(&a) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&a, p[1], 1) == 0 && posix_spawn_file_actions_addclose(&a, p[0]) == 0);
    CHECK(posix_spawnp(&pid, "echo", &a, NULL, args, environ) == 0);
    close(p[1]);
    CHECK(read(p[0], b, 64) == 8 && run_child(pid) == 0);
    say("%s", b);
    return 0;
}
