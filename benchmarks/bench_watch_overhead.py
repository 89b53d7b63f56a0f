# SPDX-License-Identifier: Apache-2.0
"""What does watching cost? CPU of the workload and of the recorder together, against the workload's alone, in the same run.

`observer watch --pid` follows the process that starts the workloads and seals all they do, compressed, to disk; as a bystander
it follows another process. The recorder is started before the measured time, since watching is for what already runs; what
its start and end cost (`start ms`) is told beside it, and `in all` is the ratio with them. Ratios are medians of rounds taken
in turn. `B/call` is what a call takes on disk, the sealed log included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import measuring, workloads
from benchmarks.measuring import Workload
from observer.trace.live import Watch, WatchOptions

# Ratio to the untraced workload above which the benchmark fails.
BUDGET = {
    "make": 1.12,
    "git": 1.35,
    "find": 1.5,
    "redis": 1.25,
    "sqlite": 1.25,
    "getppid": 3.5,
    "dd": 3.0,
}
BYTES_BUDGET = 25
BYSTANDER_BUDGET = {"make": 1.1}


@dataclass
class Row:
    """CPU seconds of each round, by kind."""

    alone: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    calls: int = 0
    disk_bytes: int = 0
    lost: int = 0


def own_cpu() -> float:
    """Return the CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of(workload: Workload) -> float:
    """Run a workload and return its CPU seconds, children included."""
    workload.prepare()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(workload.command, cwd=workload.directory, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def watched(workload: Workload, row: Row, place: Path, *, bystander: bool) -> None:
    """Run a workload in a child that is watched, or beside one that is; the recorder's CPU is that of this process."""
    shutil.rmtree(place, ignore_errors=True)
    read, write = os.pipe()
    gate, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(gate, 1)
        os.write(write, f"{cpu_of(workload)}".encode())
        os._exit(0)
    target = subprocess.Popen(["sleep", "600"]) if bystander else None
    first = own_cpu()
    watch = Watch(WatchOptions(path=place, pids=(target.pid if target else child,)))
    before = own_cpu()
    os.write(go, b"g")
    cpu = float(os.read(read, 64))
    os.waitpid(child, 0)
    time.sleep(0.3)
    after = own_cpu()
    report = watch.stop()
    last = own_cpu()
    if target:
        target.kill()
        target.wait()
    for end in (read, write, gate, go):
        os.close(end)
    (row.beside if bystander else row.watched).append(cpu + after - before)
    if not bystander:
        row.start.append(before - first + last - after)
        row.calls, row.disk_bytes, row.lost = report.calls, measuring.size_of(place), row.lost + report.lost


def measure(workload: Workload, rounds: int, place: Path) -> Row:
    """Take rounds of all kinds in turn; the first is for the caches."""
    row = Row()
    cpu_of(workload)
    for _ in range(rounds):
        row.alone.append(cpu_of(workload))
        watched(workload, row, place, bystander=False)
        watched(workload, row, place, bystander=True)
    return row


def judge(name: str, row: Row) -> list[str]:
    """Print a row and return the promises it breaks."""
    alone, start = median(row.alone), median(row.start)
    ratio, beside = median(row.watched) / alone, median(row.beside) / alone
    size = row.disk_bytes / max(row.calls, 1)
    print(
        f"{name:8} {alone:8.3f} {ratio:8.2f} {beside:7.2f} {start * 1e3:9.0f} {ratio + start / alone:7.2f} "
        f"{row.calls:10,} {size:7.1f} {row.lost:5}"
    )
    sys.stdout.flush()
    told = (
        ("watched", ratio, BUDGET.get(name)),
        ("beside", beside, BYSTANDER_BUDGET.get(name)),
        ("bytes a call", size, BYTES_BUDGET),
        ("lost", row.lost, 0),
    )
    return [
        f"{name} {what}: {got:.2f}, budget {budget}"
        for what, got, budget in told
        if budget is not None and got > budget
    ]


def main() -> int:
    """Measure and judge; returns 1 when a budget is broken, or anything was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("names", nargs="*", default=[], metavar="WORKLOAD")
    options = parser.parse_args()
    broken = []
    with tempfile.TemporaryDirectory(prefix="observer-bench-") as scratch:
        home = Path(scratch)
        os.environ["OBSERVER_HOME"] = str(home / "store")
        print(*measuring.machine_facts(), "", sep="\n")
        print(
            f"{'':8} {'alone s':>8} {'watched':>8} {'beside':>7} {'start ms':>9} {'in all':>7} {'calls':>10} "
            f"{'B/call':>7} {'lost':>5}"
        )
        names = options.names or list(workloads.WATCHED)
        for workload in workloads.make_all(home, names, workloads.WATCHED):
            broken += judge(workload.name, measure(workload, options.rounds, home / "rec"))
    for promise in broken:
        print(f"OVER BUDGET {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
