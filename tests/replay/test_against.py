# SPDX-License-Identifier: Apache-2.0
"""Another program, or another environment, with the inputs of a recording; and replays that go on at a difference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.replay.conftest import run
from tests.replay.made import compiled

SOURCE = """
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifndef SECOND
#define SECOND "/etc/passwd"
#endif
static int caught;
static void handler(int number) { caught = number; }
static void look(const char *path) {
    char head[5] = "", tail[60] = "";
    struct iovec parts[2] = {{head, 4}, {tail, 59}};
    int fd = open(path, O_RDONLY);
    if (fd >= 0) { readv(fd, parts, 2); close(fd); }
    printf("%s %s%s\\n", path, head, tail);
    fflush(stdout);
}
int main(void) {
#ifdef ALSO
    char *more = malloc(ALSO); more[5] = 1;
#endif
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    if (fork() == 0) _exit(7);
    int status; wait(&status);
    look("/etc/hostname");
    printf("%ld %d %d %d %s\\n", (long)time(0), getpid(), caught, WEXITSTATUS(status), getenv("WHO") ? getenv("WHO") : "nobody");
    fflush(stdout);
    look(SECOND);
    return 3;
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("against")
    compiled(place, SOURCE)
    done = run("record", "--replayable", "-q", "-o", place / "rec", "--", place / "prog")
    assert done.returncode == 3, done.stderr
    (place / "stdout").write_bytes(done.stdout)
    return place


def against(place: Path, *words: str | Path) -> tuple[int, dict[str, object]]:
    done = run("replay", place / "rec", "--json", *words)
    return done.returncode, json.loads(done.stdout)


def test_a_rebuilt_program_gets_what_the_recorded_one_got(place: Path) -> None:
    other = compiled(place, SOURCE, "other", "-O2", "-DALSO=3000000")
    done = run("replay", place / "rec", "--against", other)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (place / "stdout").read_bytes()
    code, told = against(place, "--against", other)
    assert (code, told["status"], told["exit_code"], told["recorded"]) == (0, "completed", 3, None)


def test_two_builds_part_at_the_call_that_differs(place: Path) -> None:
    other = compiled(place, SOURCE, "third", '-DSECOND="/etc/hosts"')
    code, told = against(place, "--against", other)
    assert code == 16 and told["status"] == "diverged" and told["what"] == "the filename of openat differs"
    assert '"/etc/passwd"' in str(told["recorded"]) and '"/etc/hosts"' in str(told["other"])
    if shutil.which("gdb") is not None:
        for name in ("backtrace", "backtrace_other"):
            frames = told[name]
            assert isinstance(frames, list) and any("look" in frame for frame in frames), told
    text = run("replay", place / "rec", "--against", other)
    assert text.returncode == 16 and b"/etc/hosts" in text.stderr and b"parts" not in text.stdout


def test_another_environment_shows_where_it_matters(place: Path) -> None:
    code, told = against(place, "--env", "WHO=somebody", "--against")
    assert code == 16 and "write" in str(told["what"])
    assert "nobody" in str(told["recorded"]) and "somebody" in str(told["other"])
    assert against(place, "--env", "LANG=C", "--against")[0] == 0


def test_what_cannot_be_fed_is_said(tmp_path: Path) -> None:
    threads = "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"
    assert (
        run(
            "record", "--replayable", "-q", "-o", tmp_path / "rec", "--", "/usr/bin/python3", "-c", threads
        ).returncode
        == 0
    )
    code, told = against(tmp_path, "--against")
    assert code == 12 and told["status"] == "stopped" and "threads" in str(told["what"])


def test_nothing_is_run_for_nonsense(place: Path) -> None:
    assert run("replay", place / "rec", "--against", "/nonexistent/prog").returncode == 127
    assert run("replay", place / "rec", "--env", "WHO", "--against").returncode == 2
