# SPDX-License-Identifier: Apache-2.0
"""Run programs, take their wall time and CPU time, and compare tools fairly.

All tools run one workload in turn, round after round, so that a slow minute of the machine slows all of them. Medians are
compared. CPU time is that of the whole process tree that the tool waited for, from wait4(2): a tracer's own work is part of the
bill.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "Result", "Tool", "Workload", "compare", "machine_facts", "median", "run", "tool_version"]


class Cost(NamedTuple):
    """What one run cost."""

    wall_s: float
    cpu_s: float
    peak_kib: int
    output_bytes: int


@dataclass(frozen=True)
class Workload:
    """A program to run: its command, and where; `prepare` brings the directory into the same state before each run."""

    name: str
    command: tuple[str, ...]
    directory: Path
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Tool:
    """A way to run a command: `wrap` turns a command and a fresh output path into the command to run."""

    name: str
    wrap: Callable[[tuple[str, ...], Path], tuple[str, ...]]


@dataclass(frozen=True)
class Result:
    """All runs of one tool on one workload."""

    workload: str
    tool: str
    costs: tuple[Cost, ...]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files under a directory; 0 when it is absent."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


# A program that may not keep what it compiled starts slower than any installed one: not what is measured here.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Sequence[str], directory: Path, output: Path | None = None) -> Cost:
    """Run a command to its end, silently, and return what it cost.

    Raises:
        RuntimeError: The command did not end with status 0; a failed run is no measurement.
    """
    start = time.perf_counter()
    with Path(os.devnull).open("r+b") as nothing:
        process = subprocess.Popen(
            command, cwd=directory, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE
        )
        complaint = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}: {complaint.decode(errors='replace')}"
        )
    written = size_of(output) if output is not None else 0
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, written)


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compare(workload: Workload, tools: Sequence[Tool], *, rounds: int, scratch: Path) -> list[Result]:
    """Run a workload under each tool in turn, `rounds` times, after one round that only warms the caches."""
    costs: dict[str, list[Cost]] = {tool.name: [] for tool in tools}
    for number in range(rounds + 1):
        for tool in tools:
            output = scratch / f"{workload.name}.{tool.name.split()[0]}"
            remove(output)
            workload.prepare()
            cost = run(tool.wrap(workload.command, output), workload.directory, output)
            remove(output)
            if number > 0:
                costs[tool.name].append(cost)
    return [Result(workload.name, name, tuple(taken)) for name, taken in costs.items()]


def median(result: Result, field: str) -> float:
    """Return the median of one field of `Cost` over all runs."""
    return float(statistics.median(getattr(cost, field) for cost in result.costs))


def tool_version(*command: str) -> str:
    """Return the first line that a program prints about itself, or 'absent'."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "absent"
    return (result.stdout or result.stderr).splitlines()[0].strip()


def machine_facts() -> list[str]:
    """Return what a reader needs to judge the figures: processor, cores, kernel, versions, load."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        os.uname().machine,
    )
    load = os.getloadavg()
    return [
        f"processor  {model}, {os.cpu_count()} cores, load {load[0]:.1f}",
        f"kernel     {os.uname().release}",
        f"python     {sys.version.split()[0]}",
    ]
