# SPDX-License-Identifier: Apache-2.0
"""Runs a program under Observer and under strace, and brings both views into one form: calls per thread, by place in the tree."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from observer import _native

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "PYTHONHASHSEED": "0",
    "PERL_HASH_SEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
FORKS = {"fork", "vfork", "clone", "clone3"}
ADDR_NO_RANDOMIZE = 0x0040000
DEADLINE_S = 180
# The six random characters of mkstemp(3) names as git and gcc form them.
RANDOM_NAME = re.compile(r"(tmp_obj_|/tmp/cc|\.git/t)[A-Za-z0-9]{6}")


@dataclass(frozen=True)
class Call:
    """One call as text: name, arguments, result; `paths` are the positions of path arguments (ours only)."""

    name: str
    args: tuple[str, ...]
    result: str
    paths: tuple[int, ...] = ()


Threads = dict[int, list[Call]]


def without_aslr() -> None:
    """Turn address randomisation off for this process and its children. Source: personality(2)."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def config(argv: list[str], path: Path, cwd: Path, **more: object) -> dict[str, object]:
    """Return the configuration of `record_command` for a command."""
    now = {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
    start = {"trace_id": str(uuid.uuid4()), "arch": "x86_64", "source": "ptrace", **now}
    executable = shutil.which(argv[0], path=ENVIRONMENT["PATH"])
    env = list(ENVIRONMENT.items())
    base = {
        "path": str(path),
        "start": start,
        "argv": argv,
        "executable": executable,
        "env": env,
        "cwd": str(cwd),
    }
    return {**base, **more}


def start_recording(argv: list[str], path: Path, cwd: Path, **more: object) -> subprocess.Popen[bytes]:
    """Start recording a command in a process of its own; its stdin is empty and its output goes nowhere."""
    file = path.with_suffix(".json")
    file.write_text(json.dumps(config(argv, path, cwd, **more)), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("record_one.py")), str(file)],
        preexec_fn=without_aslr,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def calls_of(path: Path) -> Threads:
    """Return every call of a recording by thread."""
    threads: Threads = {}
    for line in _native.RecordingReader(str(path)).calls(b"{}", 0, 1 << 40).splitlines():
        call = json.loads(line)
        paths = tuple(i for i, arg in enumerate(call["args"]) if arg["class"] == "path")
        args = tuple(arg["text"] for arg in call["args"])
        threads.setdefault(call["tid"], []).append(Call(call["syscall"], args, call["result_text"], paths))
    return threads


def observed(argv: list[str], work: Path, cwd: Path) -> Threads:
    """Record a command and return what Observer saw."""
    start_recording(argv, work / "recording", cwd).wait(DEADLINE_S)
    return calls_of(work / "recording")


def straced(argv: list[str], work: Path, cwd: Path) -> Threads:
    """Run a command under strace, one file per thread, and return what strace saw."""
    subprocess.run(
        ["strace", "-ff", "-qq", "-a1", "-s", "4096", "-o", str(work / "strace"), *argv],
        cwd=cwd,
        env=ENVIRONMENT,
        preexec_fn=without_aslr,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=DEADLINE_S,
        check=False,
    )
    files = {int(p.suffix[1:]): p for p in work.glob("strace.*")}
    return {tid: list(filter(None, map(parse, lines(path)))) for tid, path in files.items()}


def lines(path: Path) -> list[str]:
    """Return the lines of a strace file; strace escapes what is not ASCII."""
    return path.read_text(encoding="latin-1").splitlines()


def parse(line: str) -> Call | None:
    """Parse one line of strace, or None for signals and exits."""
    if line.startswith(("---", "+++")):
        return None
    whole = re.fullmatch(r"(\w+)\((.*)\)\s+= (.*)", line)
    if whole:
        return Call(whole[1], tuple(split(whole[2])), whole[3].strip())
    cut = re.match(r"(\w+)\((.*?)(?: <unfinished \.\.\.>)?$", line)
    assert cut, line
    return Call(cut[1], tuple(split(cut[2].rstrip(")"))), "?")


def split(text: str) -> list[str]:
    """Split strace's arguments at commas outside of quotes and brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    escaped = False
    for index, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def places(threads: Threads) -> dict[int, str]:
    """Name each thread by its place in the tree: "0", its second child "0.1"; so that two runs can be compared."""
    children = {
        tid: [int(c.result.split()[0]) for c in calls if c.name in FORKS and c.result.split()[0].isdigit()]
        for tid, calls in threads.items()
    }
    born = {child for found in children.values() for child in found}
    names: dict[int, str] = {}
    pending = [(tid, "0") for tid in threads if tid not in born]
    assert len(pending) == 1, f"one root expected, found {len(pending)}"
    while pending:
        tid, name = pending.pop()
        names[tid] = name
        pending += [(child, f"{name}.{i}") for i, child in enumerate(children.get(tid, []))]
    return names


def number(word: str) -> int | str:
    """Return the number a word means (decimal, 0x hexadecimal, 0 octal), or the word."""
    if re.fullmatch(r"0[0-7]+", word):
        return int(word, 8)
    return int(word, 0) if re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", word) else word


def normal(call: Call, names: dict[int, str]) -> tuple[str, str]:
    """Return name and result in a form that does not depend on process numbers or on how numbers are annotated."""
    words = call.result.split()
    if not words or words[0] == "-1" or words[0] == "?":
        return call.name, call.result if call.name != "rt_sigreturn" else "-1"
    first = number(words[0])
    if call.name in {"getppid"} and first not in names:
        return call.name, "outside"
    return call.name, names.get(first, str(first)) if isinstance(first, int) else first


def differences(ours: Threads, theirs: Threads, ignore: frozenset[str] = frozenset()) -> list[str]:
    """Return every difference in names, results and decoded paths, thread by thread."""
    mine, other = places(ours), places(theirs)
    found = []
    if set(mine.values()) != set(other.values()):
        found.append(f"threads: ours {sorted(mine.values())}, strace {sorted(other.values())}")
    by_place = {place: tid for tid, place in other.items()}
    for tid, place in sorted(mine.items(), key=lambda item: item[1]):
        if place in by_place:
            left = [c for c in ours[tid] if c.name not in ignore]
            right = [c for c in theirs.get(by_place[place], []) if c.name not in ignore]
            found += [f"{place}: {text}" for text in compare(left, right, mine, other)]
    return found


def plain(call: Call, index: int) -> str | None:
    """Return an argument with the random part of temporary names taken out; None when there is no such argument."""
    return RANDOM_NAME.sub(r"\1", call.args[index]) if index < len(call.args) else None


def compare(left: list[Call], right: list[Call], mine: dict[int, str], other: dict[int, str]) -> list[str]:
    """Compare one thread; stops at the first call of another name, since all after it would differ."""
    found = []
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if normal(a, mine) != normal(b, other):
            found.append(f"call {index}: ours {a}, strace {b}")
        if a.name != b.name:
            return found
        found += [f"call {index}, path: ours {a}, strace {b}" for i in a.paths if plain(a, i) != plain(b, i)]
    if len(left) != len(right):
        found.append(f"ours has {len(left)} calls, strace {len(right)}")
    return found
