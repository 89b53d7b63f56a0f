# SPDX-License-Identifier: Apache-2.0
"""What does recording for replay cost, and replaying? `observer record --replayable` and `observer replay` against strace and rr.

Every round runs the program alone, under strace, recorded, and replayed from that round's recording, so that a slow minute slows
all of them. Columns are medians. Both verbs start from nothing, as a person starts them; what starting them costs, measured on
`true` in the same run, is told apart ("net"), because it is the same for a program of a second and for one of a day. The pool of
shared files is warm: a first recording of a program copies its files. rr is measured where it starts: it needs hardware counters.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measuring, workloads
from benchmarks.measuring import Workload

COMPUTE = """\
#include <stdio.h>
int main(void) {
    unsigned long x = 1, sum = 0;
    for (long i = 0; i < 800000000; i++) { x = x * 6364136223846793005UL + 1442695040888963407UL; sum += x >> 33; }
    printf("%lu\\n", sum);
    return 0;
}
"""
IMPORTS = "import json, argparse, subprocess, pathlib, asyncio, http.client, sqlite3, email, unittest"
# Net slowdown of recording, at most; and at most this part of strace's slowdown. The promises.
MOST = {"compute": 1.05, "gcc": 1.6, "python": 2.2, "node": 2.0}
OF_STRACE = {"make": 0.5, "find": 0.5, "git": 0.5, "ls": 0.5}
BYTES_PER_CALL = 25.0


def observer_program() -> str:
    """Return the observer command beside the running interpreter."""
    return str(Path(sys.executable).with_name("observer"))


def compute(home: Path) -> Workload:
    """Compute, without a call."""
    (home / "compute.c").write_text(COMPUTE)
    subprocess.run(["gcc", "-O2", "-o", home / "compute", home / "compute.c"], check=True)
    return Workload("compute", (str(home / "compute"),), home)


def gcc(home: Path) -> Workload:
    """Compile one file of many functions."""
    bodies = "".join(
        f"double f{n}(double *a, int n) {{ double s = {n}; for (int i = 0; i < n; i++) {{ s += a[i] * {n + 1};"
        f" if (a[i] > s) s -= a[i] / 3; switch (i % 7) {{ case 0: s *= 1.5; break; case 3: s += 2; }} a[i] = s; }} return s; }}\n"
        for n in range(150)
    )
    (home / "large.c").write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + bodies)
    return Workload("gcc", ("gcc", "-O2", "-c", "-o", str(home / "large.o"), str(home / "large.c")), home)


def python(home: Path) -> Workload:
    """Start the system's interpreter and import what many programs do."""
    return Workload("python", ("/usr/bin/python3", "-c", IMPORTS), home)


def node(home: Path) -> Workload:
    """Start node."""
    return Workload("node", ("node", "-e", "console.log(1)"), home)


def make(home: Path) -> Workload:
    """Build a small project, two jobs at a time."""
    made = workloads.c_project(home)
    return Workload("make", ("make", "-s", "-j2"), made.directory, made.prepare)


def listing(home: Path) -> Workload:
    """List a tree, with all that ls can tell."""
    root = home / "listed"
    for number in range(4000):
        place = root / f"d{number % 200}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").touch()
    return Workload("ls", ("ls", "-lR", str(root)), home)


ALL: dict[str, tuple[str, Callable[[Path], Workload]]] = {
    "compute": ("gcc", compute),
    "gcc": ("gcc", gcc),
    "python": ("/usr/bin/python3", python),
    "node": ("node", node),
    "make": ("make", make),
    "find": ("find", workloads.find_tree),
    "git": ("git", workloads.git_status),
    "ls": ("ls", listing),
}
METADATA = ("find", "git", "ls")


@dataclass
class Times:
    """Seconds of each run of one workload, by tool; and what a recording of it holds."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    bytes_per_call: float = 0.0
    peak_kib: dict[str, int] = field(default_factory=dict)

    def take(self, tool: str, cost: measuring.Cost) -> None:
        """Add one run."""
        self.seconds.setdefault(tool, []).append(cost.wall_s)
        self.peak_kib[tool] = max(self.peak_kib.get(tool, 0), cost.peak_kib)

    def median(self, tool: str) -> float:
        """Return the median of a tool's runs, s."""
        return statistics.median(self.seconds[tool])


def rr_runs(scratch: Path) -> bool:
    """Return whether rr records here."""
    if shutil.which("rr") is None:
        return False
    done = subprocess.run(
        ["rr", "record", "-o", scratch / "rr-trial", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


def measure(workload: Workload, rounds: int, scratch: Path, *, with_rr: bool) -> Times:
    """Run a workload alone, under each tool, and replayed, in turn, after one round that warms caches."""
    times, recording, other = Times(), scratch / "recording", scratch / "other"
    tools = {
        "alone": workload.command,
        "strace": ("strace", "-f", "-o", str(other), *workload.command),
        "record": (
            observer_program(),
            *("record", "--replayable", "-q", "--force", "-o", str(recording), "--"),
            *workload.command,
        ),
        "replay": (observer_program(), "replay", str(recording)),
    }
    if with_rr:
        tools["rr"] = ("rr", "record", "-o", str(other), *workload.command)
    for number in range(rounds + 1):
        for tool, command in tools.items():
            measuring.remove(other)
            if tool != "replay":
                workload.prepare()
            cost = measuring.run(command, workload.directory, other)
            if number > 0:
                times.take(tool, cost)
    lines = (
        json.loads(line)["event"]
        for line in (recording / "sealed.log").read_text().splitlines()
        if "chunk" in line
    )
    stream = sum(line["length"] for line in lines if line.get("kind") == "replay")
    listed = subprocess.run(
        [observer_program(), "summary", "--json", str(recording)], capture_output=True, text=True, check=True
    )
    calls = int(json.loads(listed.stdout)["syscall_count"])
    times.bytes_per_call = stream / max(calls, 1)
    return times


def report(name: str, times: Times, start: Times) -> list[str]:
    """Print one workload's rows; return the promises that are broken."""
    alone, base = times.median("alone"), start.median("alone")
    gross, net = {}, {}
    for tool in times.seconds:
        own = 0.0 if tool in ("alone", "strace", "rr") else start.median(tool) - base
        gross[tool] = times.median(tool) / alone
        net[tool] = max(times.median(tool) - own, 0.0) / alone
        print(
            f"{name:8} {tool:8} {times.median(tool):8.3f} {gross[tool]:8.2f} {net[tool]:8.2f} {times.peak_kib[tool] / 1024:8.0f}"
        )
    # Under strace a program that makes hardly a call is as fast as alone: there is no slowdown to compare with.
    part = max(net["record"] - 1, 0.0) / (gross["strace"] - 1) if gross["strace"] > 1.05 else float("nan")
    print(
        f"{name:8} recording's slowdown is {part:.2f} of strace's; {times.bytes_per_call:.1f} bytes a call for replay"
    )
    broken = []
    if net["record"] > MOST.get(name, float("inf")):
        broken.append(f"{name}: recorded {net['record']:.2f} times slower, promised {MOST[name]:.2f}")
    if part > OF_STRACE.get(name, float("inf")):
        broken.append(f"{name}: {part:.2f} of strace's slowdown, promised {OF_STRACE[name]:.2f}")
    if net["replay"] > net["record"] * 1.02:
        broken.append(f"{name}: a replay takes {net['replay']:.2f}, recording {net['record']:.2f}")
    if name in METADATA and times.bytes_per_call > BYTES_PER_CALL:
        broken.append(f"{name}: {times.bytes_per_call:.1f} bytes a call, promised {BYTES_PER_CALL:.0f}")
    return broken


def main() -> int:
    """Measure and judge; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("names", nargs="*", default=[], metavar="WORKLOAD", help="of " + ", ".join(ALL))
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed: nothing to compare with", file=sys.stderr)
        return 1
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="observer-bench-") as scratch:
        home = Path(scratch)
        os.environ["OBSERVER_HOME"] = str(home / "home")
        with_rr = rr_runs(home)
        for fact in measuring.machine_facts():
            print(fact)
        print(
            f"peers      {measuring.tool_version('strace', '-V')}, rr {'records' if with_rr else 'does not start'}\n"
        )
        start = measure(Workload("start", ("true",), home), options.rounds, home, with_rr=with_rr)
        print(
            f"starting the verbs: record {start.median('record'):.3f} s, replay {start.median('replay'):.3f} s\n"
        )
        print(f"{'':17} {'wall s':>8} {'of alone':>8} {'net':>8} {'MB peak':>8}")
        for name in options.names or list(ALL):
            program, made = ALL[name]
            if shutil.which(program) is None:
                print(f"workload {name} left out: {program} is not installed", file=sys.stderr)
                continue
            broken += report(name, measure(made(home), options.rounds, home, with_rr=with_rr), start)
    for promise in broken:
        print(f"OVER BUDGET {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
