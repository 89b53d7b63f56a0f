# SPDX-License-Identifier: Apache-2.0
"""Work that people do under a recorder, made from nothing in a scratch directory so that every machine runs the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Workload

__all__ = ["WORKLOADS", "make_all"]

C_FILES = 30
# Two system calls each: enough for seconds under strace, and less than a tenth of one without.
DD_BLOCKS = 50_000
DIRECTORIES, FILES_PER_DIRECTORY = 400, 40
GIT_FILES = 6_000


def c_project(home: Path) -> Workload:
    """A make build of a small C project: many short processes, each opening many files."""
    root = home / "project"
    root.mkdir()
    calls = []
    for number in range(C_FILES):
        body = "".join(f"    total += strlen(text) * {step} + (size_t)text[0];\n" for step in range(8))
        (root / f"part{number}.c").write_text(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
            f"size_t part{number}(const char *text) {{\n    size_t total = {number};\n{body}    return total;\n}}\n"
        )
        calls.append(f"part{number}(text)")
    (root / "main.c").write_text(
        "#include <stdio.h>\n"
        + "".join(f"size_t part{number}(const char *);\n" for number in range(C_FILES))
        + "int main(int n, char **v) {\n    const char *text = v[n - 1];\n"
        + f'    printf("%zu\\n", {" + ".join(calls)});\n    return 0;\n}}\n'
    )
    (root / "Makefile").write_text(
        "OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))\n"
        "program: $(OBJECTS)\n\t$(CC) -o $@ $^\n%.o: %.c\n\t$(CC) -O1 -c -o $@ $<\nclean:\n\trm -f *.o program\n"
    )
    return Workload("make", ("make", "-s"), root, lambda: clean(root))


def clean(root: Path) -> None:
    """Bring the C project back to sources only."""
    for path in [*root.glob("*.o"), root / "program"]:
        path.unlink(missing_ok=True)


def dd_bytes(home: Path) -> Workload:
    """Copy byte by byte: nothing but system calls, the worst case of any tracer."""
    return Workload(
        "dd", ("dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={DD_BLOCKS}", "status=none"), home
    )


def find_tree(home: Path) -> Workload:
    """Walk a tree of small files."""
    root = home / "tree"
    for directory in range(DIRECTORIES):
        place = root / f"d{directory % 10}" / f"d{directory}"
        place.mkdir(parents=True)
        for file in range(FILES_PER_DIRECTORY):
            (place / f"f{file}").touch()
    return Workload("find", ("find", str(root), "-newer", "/etc/passwd", "-size", "+1k"), home)


def git_status(home: Path, files: int = GIT_FILES) -> Workload:
    """Ask git what changed in a tree it has just seen."""
    root = home / "repository"
    root.mkdir()
    for file in range(files):
        place = root / f"d{file % (files // 120)}"
        place.mkdir(exist_ok=True)
        (place / f"f{file}.txt").write_text(f"{file}\n")
    git = (
        "git",
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.org",
        "-c",
        "init.defaultBranch=main",
    )
    for step in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "tree")):
        subprocess.run([*git, *step], cwd=root, check=True, stdout=subprocess.DEVNULL)
    return Workload("git", ("git", "status", "--porcelain"), root)


def python_start(home: Path) -> Workload:
    """Start an interpreter and import what a small program imports."""
    return Workload("python", (sys.executable, "-c", "import json, argparse, subprocess, pathlib"), home)


WORKLOADS: dict[str, Callable[[Path], Workload]] = {
    "make": c_project,
    "dd": dd_bytes,
    "find": find_tree,
    "git": git_status,
    "python": python_start,
}


LOOP = """\
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { for (long i = 0; i < 2000000; i++) syscall(SYS_getppid); }
"""


def getppid_loop(home: Path) -> Workload:
    """Two million calls that do nothing: the worst case of any tracer."""
    source, program = home / "loop.c", home / "loop"
    source.write_text(LOOP)
    subprocess.run(["gcc", "-O2", str(source), "-o", str(program)], check=True)
    return Workload("getppid", (str(program),), home)


def dd_million(home: Path) -> Workload:
    """Copy byte by byte, long enough to be measured under a recorder that costs little."""
    return Workload(
        "dd", ("dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1000000", "status=none"), home
    )


def git_status_large(home: Path) -> Workload:
    """The same in a tree of 30,000 files, a middling project: long enough to be measured under a recorder that costs little."""
    return git_status(home, 30_000)


def find_hundred_thousand(home: Path) -> Workload:
    """Walk a tree of 100,000 files."""
    root = home / "forest"
    for directory in range(1000):
        place = root / f"d{directory % 10}" / f"d{directory}"
        place.mkdir(parents=True)
        for file in range(100):
            (place / f"f{file}").touch()
    return Workload("find", ("find", str(root), "-newer", "/etc/passwd", "-size", "+1k"), home)


REDIS = """\
redis-server --port 0 --unixsocket "$0/redis.sock" --save '' --appendonly no --dir "$0" >/dev/null &
until [ -S "$0/redis.sock" ]; do sleep 0.05; done
redis-benchmark -q -s "$0/redis.sock" -t set,get -n 100000 >/dev/null
redis-cli -s "$0/redis.sock" shutdown nosave
wait
"""


def redis(home: Path) -> Workload:
    """Ask a Redis server 200,000 times over a socket; client and server are the workload."""
    place = home / "redis"
    place.mkdir()
    return Workload("redis", ("sh", "-c", REDIS, str(place)), place)


SQLITE = """
.timeout 1000
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i+1 from n where i < 3000) insert into t select i, hex(i*i) from n;
"""


def sqlite(home: Path) -> Workload:
    """Fill a table, then change rows one transaction at a time, as a busy service does."""
    place = home / "sqlite"
    place.mkdir()
    changes = "".join(
        f"update t set b = b || 'x' where a = {row}; select sum(a) from t where a < {row};\n"
        for row in range(1, 1500)
    )
    (place / "work.sql").write_text(SQLITE + "pragma synchronous=off;\n" + changes)
    command = ("sh", "-c", "sqlite3 work.db < work.sql")
    return Workload("sqlite", command, place, lambda: (place / "work.db").unlink(missing_ok=True))


# What a recorder that stops nothing is measured with.
WATCHED: dict[str, Callable[[Path], Workload]] = {
    "make": c_project,
    "git": git_status_large,
    "find": find_hundred_thousand,
    "redis": redis,
    "sqlite": sqlite,
    "dd": dd_million,
    "getppid": getppid_loop,
}


def make_all(
    home: Path, names: list[str], known: dict[str, Callable[[Path], Workload]] = WORKLOADS
) -> list[Workload]:
    """Make the named workloads, leaving out with a word those whose program is not installed."""
    made = []
    for name in names:
        other = {"python": sys.executable, "redis": "redis-benchmark", "sqlite": "sqlite3", "getppid": "gcc"}
        program = other.get(name, name)
        if shutil.which(program) is None:
            print(f"workload {name} left out: {program} is not installed", file=sys.stderr)
            continue
        made.append(known[name](home))
    return made
