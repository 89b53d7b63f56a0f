# SPDX-License-Identifier: Apache-2.0
"""The whole text of a call, arguments and result, is what strace prints, for programs that use calls in many ways.

Masked before comparing: process numbers, ports that the kernel drew, times, where the environment of the first call
lies. Documented in docs/SYSCALL_COVERAGE.md: `rt_sigreturn` shows no mask.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.capture import tracing

SOURCES = Path(__file__).parents[1] / "data" / "capture"
ATTEMPTS = 3
MASKS = [
    (re.compile(r"rt_sigreturn\(.*\)"), "rt_sigreturn()"),
    (re.compile(r"0x[0-9a-f]+ (/\* \d+ vars? \*/)"), r"ENV \1"),
    (re.compile(r"htons\(\d+\)"), "htons(PORT)"),
    (re.compile(r"tv_(sec|usec|nsec)=\d+"), r"tv_\1=TIME"),
    (re.compile(r"\d+ entries"), "entries"),
]


def observed_text(argv: list[str], work: Path, cwd: Path) -> dict[int, list[str]]:
    """Record a command with all its data and return its calls as lines, by thread."""
    tracing.start_recording(argv, work / "recording", cwd, data_bytes=4096).wait(tracing.DEADLINE_S)
    threads: dict[int, list[str]] = {}
    reader = tracing._native.RecordingReader(str(work / "recording"))
    for line in reader.calls(b"{}", 0, 1 << 40).splitlines():
        call = json.loads(line)
        text = f"{call['syscall']}({', '.join(arg['text'] for arg in call['args'])}) = {call['result_text']}"
        threads.setdefault(call["tid"], []).append(text)
    return threads


def straced_text(argv: list[str], work: Path, cwd: Path) -> dict[int, list[str]]:
    """Run a command under strace and return its calls as lines, by thread."""
    calls = tracing.straced(argv, work, cwd)
    return {
        tid: [f"{c.name}({', '.join(c.args)}) = {c.result}" for c in found] for tid, found in calls.items()
    }


def masked(threads: dict[int, list[str]]) -> list[list[str]]:
    """Return the lines of each thread, in order of birth, without what differs from run to run."""
    numbers = re.compile(rf"\b({'|'.join(map(str, threads))})\b")
    out = []
    for tid in sorted(threads):
        lines = [numbers.sub("PID", line) for line in threads[tid]]
        for mask, instead in MASKS:
            lines = [mask.sub(instead, line) for line in lines]
        out.append(lines)
    return out


@pytest.mark.parametrize("name", ["files", "network", "processes"])
def test_same_text_as_strace(name: str, tmp_path: Path) -> None:
    if not (shutil.which("gcc") and shutil.which("strace")):
        pytest.skip("gcc or strace is not installed (make setup-test installs them)")
    program = tmp_path / name
    subprocess.run(["gcc", "-w", "-o", str(program), str(SOURCES / f"{name}.c")], check=True)
    for attempt in range(ATTEMPTS):
        views = []
        for look in (observed_text, straced_text):
            work, cwd = tmp_path / f"{look.__name__}{attempt}", tmp_path / "cwd"
            work.mkdir()
            shutil.rmtree(cwd, ignore_errors=True)
            cwd.mkdir()
            views.append(masked(look([str(program)], work, cwd)))
        if views[0] == views[1]:
            assert sum(map(len, views[0])) > 70
            return
    pairs = itertools.zip_longest(*(itertools.chain(*view) for view in views), fillvalue="nothing")
    pytest.fail("\n".join(f"ours:   {a}\nstrace: {b}" for a, b in pairs if a != b))
