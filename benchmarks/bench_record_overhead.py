# SPDX-License-Identifier: Apache-2.0
"""What does recording cost? `observer record` against `strace -f -o FILE` and against the program alone, in the same run.

Both tools write everything they saw to a file and both start from nothing, as a person would start them, so the start of
Observer's interpreter is part of the figure. Columns are medians; "of strace" under 1.00 means Observer was faster (wall) or did
less work (CPU).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import measuring, workloads
from benchmarks.measuring import Result, Tool, median

# Observer's wall time as a part of strace's: above this the benchmark fails. These two are a promise of the README.
BUDGET = {"make": 1.0, "dd": 1.0}


def observer_program() -> str:
    """Return the observer command beside the running interpreter."""
    return str(Path(sys.executable).with_name("observer"))


TOOLS = (
    Tool("alone", lambda command, _: command),
    Tool("strace -f -o", lambda command, output: ("strace", "-f", "-o", str(output), *command)),
    Tool(
        "observer record",
        lambda command, output: (observer_program(), "record", "-o", str(output), "--", *command),
    ),
)


def report(results: list[Result]) -> float:
    """Print one workload's rows; return Observer's wall time as a part of strace's."""
    alone, strace, observer = results
    for result in results:
        wall, cpu = median(result, "wall_s"), median(result, "cpu_s")
        against = ""
        if result is not alone:
            against = f"{wall / median(alone, 'wall_s'):8.2f} {cpu / median(alone, 'cpu_s'):8.2f}"
        if result is observer:
            against += f" {wall / median(strace, 'wall_s'):9.2f} {cpu / median(strace, 'cpu_s'):9.2f}"
        written = median(result, "output_bytes") / 1e6
        print(f"{result.workload:8} {result.tool:16} {wall:8.3f} {cpu:8.3f} {written:8.2f} {against}")
    return median(observer, "wall_s") / median(strace, "wall_s")


def heading() -> None:
    """Print the machine's facts and the names of the columns."""
    for fact in [*measuring.machine_facts(), f"peer       {measuring.tool_version('strace', '-V')}"]:
        print(fact)
    print()
    print(f"{'':25} {'wall s':>8} {'CPU s':>8} {'MB out':>8} {'of alone':>17} {'of strace':>19}")
    print(f"{'':52} {'wall':>8} {'CPU':>8} {'wall':>9} {'CPU':>9}")


def main() -> int:
    """Measure and judge; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument(
        "names", nargs="*", default=[], metavar="WORKLOAD", help="of " + ", ".join(workloads.WORKLOADS)
    )
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed: nothing to compare with", file=sys.stderr)
        return 1
    broken = []
    with tempfile.TemporaryDirectory(prefix="observer-bench-") as scratch:
        home = Path(scratch)
        heading()
        for workload in workloads.make_all(home, options.names or list(workloads.WORKLOADS)):
            ratio = report(measuring.compare(workload, TOOLS, rounds=options.rounds, scratch=home))
            if ratio > BUDGET.get(workload.name, float("inf")):
                broken.append(
                    f"{workload.name}: {ratio:.2f} of strace's wall time, budget {BUDGET[workload.name]:.2f}"
                )
    for promise in broken:
        print(f"OVER BUDGET {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
