// SPDX-License-Identifier: Apache-2.0
// A small courier: delivers a letter over loopback, checks the copy with another program, and lets a curious
// assistant try to read what it may not. It forks, execs, reads and writes files, talks TCP and is denied something.
//
// usage: courier LETTER COPY

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void die(const char *what) {
    fprintf(stderr, "courier: %s: %s\n", what, strerror(errno));
    _exit(1);
}

// Copies from one descriptor to another until the end.
static void pour(int from, int to) {
    char buffer[4096];
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put < 0) die("write");
            done += put;
        }
    }
    if (got < 0) die("read");
}

// The sender: reads the letter and sends it to the receiver's port.
static int send_letter(const char *letter, struct sockaddr_in address) {
    int file = open(letter, O_RDONLY | O_CLOEXEC);
    if (file < 0) die(letter);
    int wire = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (wire < 0 || connect(wire, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    pour(file, wire);
    return 0;
}

// The receiver: takes one connection and writes what comes to the copy.
static void receive_letter(int listener, const char *copy) {
    int wire = accept(listener, NULL, NULL);
    if (wire < 0) die("accept");
    int file = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) die(copy);
    pour(wire, file);
    close(file);
    close(wire);
}

// The assistant: gives up root's rights if it has them, then tries to read the password hashes, and may not.
static int peek(void) {
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        fprintf(stderr, "courier: cannot become nobody: %s\n", strerror(errno));
    int file = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    if (file >= 0) return 3;
    printf("assistant: /etc/shadow: %s\n", strerror(errno));
    fflush(stdout);
    return errno == EACCES || errno == EPERM ? 0 : 4;
}

static int checksum(const char *copy) {
    execlp("sha256sum", "sha256sum", copy, (char *)NULL);
    return 127;
}

static int reap(pid_t child, const char *who) {
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0) die(who);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    fprintf(stderr, "courier: the %s did not end well\n", who);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: courier LETTER COPY\n", stderr);
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("listen");

    pid_t sender = fork();
    if (sender == 0) _exit(send_letter(argv[1], address));
    receive_letter(listener, argv[2]);
    int failed = reap(sender, "sender");

    pid_t assistant = fork();
    if (assistant == 0) _exit(peek());
    failed |= reap(assistant, "assistant");

    pid_t checker = fork();
    if (checker == 0) _exit(checksum(argv[2]));
    failed |= reap(checker, "checker");
    return failed;
}
