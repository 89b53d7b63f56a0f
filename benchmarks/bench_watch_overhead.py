# SPDX-License-Identifier: Apache-2.0
"""What does watching cost? CPU of the workload and of the recorder together, against the workload's alone, in the same run.

`observer watch --pid` follows the process that starts the workloads and seals all they do, compressed, to disk; as a bystander
it follows another process. The recorder is started once, outside the measured time: watching is for what already runs. Ratios are
medians of rounds taken in turn. `B/call` is what a call takes on disk, the sealed log included.
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
BUDGET = {"make": 1.12, "git": 1.35, "find": 1.5, "getppid": 3.5, "dd": 3.0}
BYSTANDER_BUDGET = {"make": 1.1}
LOOP = """\
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { for (long i = 0; i < 2000000; i++) syscall(SYS_getppid); }
"""


@dataclass
class Row:
    """CPU seconds of each round, by kind."""

    alone: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    calls: int = 0
    disk_bytes: int = 0
    lost: int = 0


def getppid_loop(home: Path) -> Workload:
    """Two million calls that do nothing: the worst case of any tracer."""
    source, program = home / "loop.c", home / "loop"
    source.write_text(LOOP)
    subprocess.run(["gcc", "-O2", str(source), "-o", str(program)], check=True)
    return Workload("getppid", (str(program),), home)


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
    watch = Watch(WatchOptions(path=place, pids=(target.pid if target else child,)))
    before = resource.getrusage(resource.RUSAGE_SELF)
    os.write(go, b"g")
    cpu = float(os.read(read, 64))
    os.waitpid(child, 0)
    time.sleep(0.3)
    after = resource.getrusage(resource.RUSAGE_SELF)
    report = watch.stop()
    if target:
        target.kill()
        target.wait()
    for end in (read, write, gate, go):
        os.close(end)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (row.beside if bystander else row.watched).append(cpu + own)
    if not bystander:
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
        print(f"{'':8} {'alone s':>8} {'watched':>8} {'beside':>8} {'calls':>10} {'B/call':>7} {'lost':>6}")
        names = options.names or [*workloads.WORKLOADS, "getppid"]
        made = list(workloads.make_all(home, [name for name in names if name != "getppid"]))
        for workload in [*made, *([getppid_loop(home)] if "getppid" in names else [])]:
            row = measure(workload, options.rounds, home / "rec")
            ratio, beside = (median(values) / median(row.alone) for values in (row.watched, row.beside))
            size = row.disk_bytes / max(row.calls, 1)
            print(
                f"{workload.name:8} {median(row.alone):8.3f} {ratio:8.2f} {beside:8.2f} {row.calls:10,} {size:7.1f} {row.lost:6}"
            )
            sys.stdout.flush()
            for what, got, budget in (("watched", ratio, BUDGET), ("beside", beside, BYSTANDER_BUDGET)):
                if got > budget.get(workload.name, float("inf")):
                    broken.append(f"{workload.name} {what}: {got:.2f}, budget {budget[workload.name]:.2f}")
            if row.lost:
                broken.append(f"{workload.name}: {row.lost} lost")
    for promise in broken:
        print(f"OVER BUDGET {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
