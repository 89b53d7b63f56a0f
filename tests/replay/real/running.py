# SPDX-License-Identifier: Apache-2.0
"""Records real programs and replays them without the files they used.

python -m tests.replay.real.running             all, once; prints a line for each
python -m tests.replay.real.running -n 20 git   those whose name begins so, twenty recordings with a replay of each
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.replay.real.programs import PROGRAMS, Real

__all__ = ["Round", "missing", "play", "prepared", "why_not_here"]

OBSERVER: Final = str(Path(sys.executable).with_name("observer"))
DEADLINE_S: Final = 180
_FILES: Final = Path(__file__).parent / "files"
_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin"


@dataclass(frozen=True)
class Round:
    """A recording and a replay of it."""

    recorded: subprocess.CompletedProcess[bytes]
    replayed: subprocess.CompletedProcess[bytes] | None
    marks: tuple[str, ...]
    seconds: tuple[float, float]

    @property
    def difference(self) -> str | None:
        """What the replay did otherwise, as text."""
        if self.replayed is None:
            return None
        if self.replayed.returncode != 0:
            return f"exit {self.replayed.returncode}: {self.replayed.stderr.decode(errors='replace')[-600:]}"
        for name, a, b in (
            ("stdout", self.recorded.stdout, self.replayed.stdout),
            ("stderr", _own(self.recorded.stderr), _own(self.replayed.stderr)),
        ):
            if a != b:
                return f"{name}: {a[-200:]!r} recorded, {b[-200:]!r} replayed"
        return None


def _own(stderr: bytes) -> bytes:
    lines = stderr.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith((b"observer: ", b"hint: ")))


def missing(program: Real) -> list[str]:
    """Return the commands that the program needs and that are not there."""
    return [name for name in program.needs if shutil.which(name, path=_PATH) is None]


def why_not_here(ready: Prepared, place: Path) -> str | None:
    """Run a program unrecorded that needs more of a machine than commands; return why it does not run here."""
    if not ready.program.probed:
        return None
    work = place / "probe"
    shutil.copytree(ready.work, work, symlinks=True)
    done = _run(["bash", "-c", ready.program.script], work, ready.environment)
    shutil.rmtree(work, ignore_errors=True)
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[-300:]


@dataclass(frozen=True)
class Prepared:
    """A program ready to be recorded."""

    program: Real
    work: Path
    environment: dict[str, str]


def _run(argv: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"killed after {DEADLINE_S} s".encode()
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serving(program: Real, work: Path, env: dict[str, str]) -> Iterator[None]:
    if not program.server:
        yield
        return
    with subprocess.Popen(
        ["bash", "-c", program.server],
        cwd=work,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(env["PORT"]))):
                    break
                time.sleep(0.05)
            yield
        finally:
            server.kill()


@contextlib.contextmanager
def prepared(program: Real, place: Path) -> Iterator[Prepared]:
    """Make the program's directory, and serve what it talks to."""
    template = place / "template"
    template.mkdir(parents=True)
    env = {
        "PATH": _PATH,
        "LC_ALL": "C.UTF-8",
        "HOME": str(place / "home"),
        "OBSERVER_HOME": str(place / "store"),
        "PORT": str(_free_port()),
    }
    for name, content in program.texts.items():
        (template / name).write_text(content)
    for name in program.files:
        shutil.copy(_FILES / name, template)
    if program.prepare:
        done = subprocess.run(
            ["bash", "-ec", program.prepare],
            cwd=template,
            env=env,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
    with _serving(program, template, env):
        yield Prepared(program, template, env)


def play(ready: Prepared, place: Path, *, replays: bool = True) -> Round:
    """Record the program in a fresh copy of its directory, remove that, and replay if that is wanted."""
    work, recording, empty = place / "work", place / "rec", place / "empty"
    for directory in (work, recording):
        shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(ready.work, work, symlinks=True)
    empty.mkdir(exist_ok=True)
    argv = [
        OBSERVER,
        "record",
        "--replayable",
        "-q",
        "-o",
        str(recording),
        "--",
        "bash",
        "-c",
        ready.program.script,
    ]
    began = time.monotonic()
    recorded = _run(argv, work, ready.environment)
    between = time.monotonic()
    shutil.rmtree(work, ignore_errors=True)
    replayed = _run([OBSERVER, "replay", str(recording)], empty, ready.environment) if replays else None
    after = time.monotonic()
    log = (recording / "sealed.log").read_bytes() if (recording / "sealed.log").exists() else b""
    marks = tuple(line.decode(errors="replace") for line in log.splitlines() if b'"replay_mark"' in line)
    return Round(recorded, replayed, marks, (between - began, after - between))


def main() -> int:
    """Print a line for each round that differs, and for each program the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("-n", "--times", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the last recording of each here")
    args = parser.parse_args()
    worst = 0
    for program in PROGRAMS:
        if args.names and not program.name.startswith(tuple(args.names)):
            continue
        if absent := missing(program):
            print(f"{program.name:<24}SKIPPED: no {', '.join(absent)}")
            continue
        with tempfile.TemporaryDirectory(prefix="real-") as made:
            place = (args.keep or Path(made)) / program.name
            shutil.rmtree(place, ignore_errors=True)
            with prepared(program, place) as ready:
                if reason := why_not_here(ready, place):
                    print(f"{program.name:<24}SKIPPED: does not run here unrecorded: {reason}")
                    continue
                for number in range(args.times):
                    told = play(ready, place)
                    same = told.difference is None
                    verdict = "same" if same else ("marked" if told.marks else "DIFFERS")
                    worst |= verdict == "DIFFERS"
                    print(
                        f"{program.name:<24}{number:<4}{verdict:<9}{told.seconds[0]:6.1f} s {told.seconds[1]:6.1f} s  "
                        f"exit {told.recorded.returncode}, {len(told.recorded.stdout)} bytes, marks {len(told.marks)}",
                        flush=True,
                    )
                    if not same:
                        print(f"    {told.difference}")
                    for mark in told.marks[:3]:
                        print(f"    {mark[:300]}")
                    if told.recorded.returncode or b"rror" in told.recorded.stderr:
                        print(f"    {told.recorded.stderr[-500:]!r}")
    return worst


if __name__ == "__main__":
    sys.exit(main())
