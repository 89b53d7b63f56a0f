# SPDX-License-Identifier: Apache-2.0
"""A small C program that is recorded and then looked into; its file is gone before it is replayed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OBSERVER = str(Path(sys.executable).with_name("observer"))
SOURCE = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int counter;
static int look(const char *path) {
    char text[32] = "";
    int fd = open(path, O_RDONLY), length = fd < 0 ? -1 : (int)read(fd, text, 31);
    counter += 10;
    printf("%s %d %d\\n", path, length, counter);
    fflush(stdout);
    if (fd >= 0) close(fd);
    return length;
}
int main(void) {
    look("/etc/hostname");
    look("/etc/passwd");
    printf("pid %d\\n", getpid());
    return 3;
}
"""


def compiled(place: Path, source: str = SOURCE, name: str = "prog", *options: str) -> Path:
    """Build a program with what a debugger needs."""
    if shutil.which("gcc") is None:
        pytest.skip("SKIPPED: gcc is needed to build the program that is replayed")
    (place / f"{name}.c").write_text(source)
    subprocess.run(["gcc", "-g", "-O0", *options, "-o", name, f"{name}.c"], cwd=place, check=True, timeout=60)
    return place / name


def recorded(place: Path, source: str = SOURCE) -> Path:
    """Record it as `prog` into `rec`; then the program is gone, its source is in `moved.c`, its output in `stdout`."""
    compiled(place, source)
    argv = [OBSERVER, "record", "--replayable", "-o", "rec", "--", "./prog"]
    done = subprocess.run(argv, cwd=place, capture_output=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    (place / "stdout").write_bytes(done.stdout)
    (place / "prog").unlink()
    (place / "prog.c").rename(place / "moved.c")
    return place
