# SPDX-License-Identifier: Apache-2.0
"""Runs our own C programs, one per system-call behaviour: built, run as they are, recorded, replayed, and compared.

    python -m tests.replay.corpus               all of them, once; prints a table
    python -m tests.replay.corpus -n 20 sig_    those whose name begins so, each replayed twenty times
    python -m tests.replay.corpus --observer PATH   with another build of ours

The first lines of a program say what it shows, and how it is run: `// run: ARGUMENTS`, `// input: TEXT` (escapes as in C),
`// expect: exit N` or `// expect: signal N`; without that it ends with 0. `// flags:` are for the compiler, after the usual ones.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "programs"
OBSERVER: Final = str(Path(sys.executable).with_name("observer"))
LINK: Final = ("-pthread", "-lrt", "-lutil", "-ldl", "-lm")
DEADLINE_S: Final = 60
# What does not record or replay yet, and why; tried by the long run, where a change shows, and skipped in `make test`.
NOT_YET: Final[dict[str, str]] = {}
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}


@dataclass(frozen=True)
class Program:
    """One program and how it is run."""

    name: str
    arguments: tuple[str, ...]
    stdin: bytes
    status: int
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Path) -> Program:
        """Read the first lines of a source."""
        text = source.read_text(encoding="utf-8")
        found = dict(re.findall(r"^// (run|input|expect|flags): (.*)$", text, flags=re.M))
        kind, _, number = found.get("expect", "exit 0").partition(" ")
        status = int(number) if kind == "exit" else -int(number)
        stdin = found.get("input", "").encode().decode("unicode_escape").encode()
        arguments, flags = (tuple(shlex.split(found.get(name, ""))) for name in ("run", "flags"))
        return cls(source.stem, arguments, stdin, status, flags)


@dataclass(frozen=True)
class Ran:
    """What a run put out and how it ended; negative for a signal."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Verdict:
    """How a program came out."""

    name: str
    kind: str
    detail: str = ""


def programs(prefixes: tuple[str, ...] = ()) -> list[Program]:
    """Return all programs, or those whose names begin so."""
    found = map(Program.of, sorted(PROGRAMS.glob("*.c")))
    return [one for one in found if not prefixes or one.name.startswith(prefixes)]


def build(wanted: list[Program], place: Path) -> dict[str, Path]:
    """Compile programs, two at a time; the header is compiled once."""
    shutil.copy(PROGRAMS / "check.h", place / "check.h")
    flags = ("-O1", "-g", "-pthread")
    subprocess.run(["gcc", *flags, "-x", "c-header", str(place / "check.h")], check=True, capture_output=True)

    def one(program: Program) -> tuple[str, Path]:
        target = place / program.name
        source = shutil.copy(PROGRAMS / f"{program.name}.c", place)
        done = subprocess.run(
            ["gcc", *flags, *program.flags, "-o", str(target), source, *LINK],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{program.name} does not compile:\n{done.stderr.decode()}")
        return program.name, target

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(pool.map(one, wanted))


def run(argv: list[str], cwd: Path, stdin: bytes, home: Path) -> Ran:
    """Run a command in an empty directory of its own."""
    cwd.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=ENVIRONMENT | {"OBSERVER_HOME": str(home)},
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _own(stderr: bytes) -> bytes:
    """Return what the program itself wrote to stderr."""
    return b"".join(
        line for line in stderr.splitlines(keepends=True) if not line.startswith((b"observer: ", b"hint: "))
    )


def check(
    program: Program, binary: Path, place: Path, *, times: int = 1, observer: str = OBSERVER
) -> Verdict:
    """Record a program and replay it; the replay has neither the program's directory nor its files."""
    work, recording, home = place / f"{program.name}.work", place / f"{program.name}.rec", place / "home"
    argv = [
        observer,
        "record",
        "--replayable",
        "--force",
        "-o",
        str(recording),
        "--",
        str(binary),
        *program.arguments,
    ]
    shell = 128 - program.status if program.status < 0 else program.status
    try:
        recorded = run(argv, work, program.stdin, home)
        if recorded.status != shell:
            return Verdict(program.name, "record", f"exit {recorded.status}, not {shell}: {_last(recorded)}")
        shutil.rmtree(work)
        for number in range(times):
            replayed = run([observer, "replay", str(recording)], place / "empty", b"", home)
            if replayed.status != 0:
                return Verdict(
                    program.name, "diverged", f"replay {number}: exit {replayed.status}: {_last(replayed)}"
                )
            if replayed.stdout != recorded.stdout or _own(replayed.stderr) != _own(recorded.stderr):
                return Verdict(
                    program.name, "output", f"replay {number}: {_first_difference(recorded, replayed)}"
                )
    except subprocess.TimeoutExpired as late:
        return Verdict(
            program.name, "hangs", f"{'replay' if 'replay' in late.cmd else 'record'} after {DEADLINE_S} s"
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Verdict(program.name, "same")


def _last(ran: Ran) -> str:
    lines = [line for line in ran.stderr.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error[" in line or "not so" in line]
    return (errors or lines or ["nothing on stderr"])[-1][:300]


def _first_difference(recorded: Ran, replayed: Ran) -> str:
    for name, a, b in (
        ("stdout", recorded.stdout, replayed.stdout),
        ("stderr", _own(recorded.stderr), _own(replayed.stderr)),
    ):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            return f"{name} byte {at}: {a[at : at + 40]!r} recorded, {b[at : at + 40]!r} replayed"
    return "nothing"


def run_all(wanted: list[Program], place: Path, *, times: int, observer: str, jobs: int) -> Iterator[Verdict]:
    """Check programs, some at a time, as they are done."""
    built = build(wanted, place)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tasks = [
            pool.submit(check, one, built[one.name], place, times=times, observer=observer) for one in wanted
        ]
        for task in concurrent.futures.as_completed(tasks):
            yield task.result()


def main() -> int:
    """Print one line per program that is not the same, and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prefixes", nargs="*", metavar="PREFIX")
    parser.add_argument("-n", "--times", type=int, default=1, help="replays of each recording")
    parser.add_argument("--observer", default=OBSERVER, help="the command line to test")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="keep programs and recordings here")
    args = parser.parse_args()
    wanted = programs(tuple(args.prefixes))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="corpus-") as made:
        place = args.keep or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        for verdict in run_all(wanted, place, times=args.times, observer=args.observer, jobs=args.jobs):
            counts[verdict.kind] += 1
            if verdict.kind != "same":
                print(f"{verdict.name:<24}{verdict.kind:<10}{verdict.detail}", flush=True)
    print(f"{counts['same']} of {len(wanted)} the same, {args.times} replays each; {dict(counts)}")
    return 0 if counts["same"] == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
