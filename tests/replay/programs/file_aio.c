// SPDX-License-Identifier: Apache-2.0
// POSIX asynchronous reads and writes
#include "check.h"

#include <aio.h>
int main() {
    int f = open("f", O_RDWR | O_CREAT, 0600);
    char b[20] = "aio data", r[20] = {0};
    struct aiocb a = {.aio_fildes = f, .aio_buf = b, .aio_nbytes = 8};
    aio_write(&a);
    const struct aiocb *l[] = {&a};
    while (aio_error(&a) == EINPROGRESS) aio_suspend(l, 1, 0);
    printf("%zd\n", aio_return(&a));
    struct aiocb c = {.aio_fildes = f, .aio_buf = r, .aio_nbytes = 8};
    aio_read(&c);
    l[0] = &c;
    while (aio_error(&c) == EINPROGRESS) aio_suspend(l, 1, 0);
    printf("%zd %s\n", aio_return(&c), r);
    return 0;
}
