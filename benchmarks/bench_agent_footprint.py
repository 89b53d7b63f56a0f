# SPDX-License-Identifier: Apache-2.0
"""What the agent costs a machine that is otherwise left alone, beside atop that writes its own log every five seconds.

Both run at the same time over the same minutes, so a busy neighbour is busy for both. CPU is user and system time of the process,
its living and its ended children, in percent of one core, without the first ten seconds; memory is the resident size of all of
them together, sampled each second.

Then a storm: a journal that gives 50,000 entries a second for some seconds. What is told is the memory, and whether every entry
was sealed or declared as dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measuring
from observer.evidence import read_log

BUDGET_CPU_PERCENT = 1.0
BUDGET_RSS_MIB = 60.0
STORM_RATE = 50_000
SETTLE_S = 10
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Bill:
    """What one program and its children cost so far."""

    name: str
    pid: int
    cpu_start: float = 0.0
    cpu_end: float = 0.0
    rss: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Take the present CPU time and resident bytes."""
        cpu, rss = 0.0, 0
        for pid in tree(self.pid):
            try:
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                # Of the program itself its ended children too; living children are in the tree.
                cpu += sum(map(int, words[11:13])) * TICK_S
                cpu += sum(map(int, words[13:15])) * TICK_S
                rss += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
            except (OSError, IndexError):
                continue
        self.cpu_end = max(self.cpu_end, cpu)
        self.rss.append(rss)


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                queue += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def start_agent(place: Path, config: str = "", path: str = "") -> subprocess.Popen[str]:
    """Start an agent that keeps everything in a directory; returns once it collects."""
    (place / "agent.toml").write_text(config)
    words = [
        sys.executable,
        "-m",
        "observer",
        "agent",
        "run",
        "--logs",
        str(place / "logs"),
        "--socket",
        str(place / "s"),
    ]
    words += ["--state", str(place / "state"), "--config", str(place / "agent.toml")]
    environ = {
        **measuring.ENVIRONMENT,
        "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"],
    }
    agent = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environ)
    assert agent.stderr is not None
    if "run " not in (line := agent.stderr.readline()):
        raise RuntimeError(line + agent.stderr.read())
    return agent


def idle(place: Path, seconds: float) -> list[str]:
    """Run both for so long; returns budgets that were broken."""
    agent = start_agent(place)
    bills = [Bill("observer agent", agent.pid)]
    peers: list[subprocess.Popen[Any]] = []
    if shutil.which("atop"):
        peers.append(
            subprocess.Popen(["atop", "-w", str(place / "atop.raw"), "5"], stdout=subprocess.DEVNULL)
        )
        bills.append(Bill("atop -w FILE 5", peers[0].pid))
    time.sleep(SETTLE_S)
    for bill in bills:
        bill.look()
        bill.cpu_start = bill.cpu_end
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        time.sleep(1)
        for bill in bills:
            bill.look()
    took = time.monotonic() - begun
    print(f"idle, {took:.0f} s, all collectors at their default rates")
    print(f"{'':20} {'CPU %':>8} {'RSS MiB mean':>13} {'most':>8} {'of atop':>8}")
    for bill in bills:
        cpu = 100 * (bill.cpu_end - bill.cpu_start) / took
        mean, most = sum(bill.rss) / len(bill.rss) / 2**20, max(bill.rss) / 2**20
        peer = (bills[-1].cpu_end - bills[-1].cpu_start) or TICK_S
        print(
            f"{bill.name:20} {cpu:8.3f} {mean:13.1f} {most:8.1f} {(bill.cpu_end - bill.cpu_start) / peer:8.2f}"
        )
    running: list[subprocess.Popen[Any]] = [agent, *peers]
    for process in running:
        process.terminate()
        process.wait(20)
    cpu = 100 * (bills[0].cpu_end - bills[0].cpu_start) / took
    broken = [f"CPU {cpu:.2f} %, budget {BUDGET_CPU_PERCENT} %"] if cpu >= BUDGET_CPU_PERCENT else []
    most = max(bills[0].rss) / 2**20
    return broken + ([f"RSS {most:.1f} MiB, budget {BUDGET_RSS_MIB}"] if most >= BUDGET_RSS_MIB else [])


STORM = """#!/usr/bin/python3 -I
import sys, time
entry = (b"__CURSOR=s=1;i=%d\\n__REALTIME_TIMESTAMP=1795776009000000\\n__MONOTONIC_TIMESTAMP=81234000\\n_BOOT_ID=" + b"4" * 32
         + b"\\nPRIORITY=6\\n_TRANSPORT=syslog\\nSYSLOG_IDENTIFIER=storm\\n_PID=1\\n_COMM=storm\\nMESSAGE="
         + b"x" * 120 + b"\\n\\n")
number, begun = 0, time.monotonic()
while number < @COUNT@:
    piece = b"".join(entry % (number + one) for one in range(1000))
    number += 1000
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    time.sleep(max(0, begun + number / @RATE@ - time.monotonic()))
open("@DONE@", "w").close()
time.sleep(600)
"""


def storm(place: Path, seconds: float) -> list[str]:
    """Flood the agent; returns promises that were broken."""
    count = int(STORM_RATE * seconds)
    tools = place / "tools"
    tools.mkdir()
    script = (
        STORM.replace("@COUNT@", str(count))
        .replace("@RATE@", str(STORM_RATE))
        .replace("@DONE@", str(place / "done"))
    )
    (tools / "journalctl").write_text(script)
    (tools / "journalctl").chmod(0o700)
    Path("/run/log/journal").mkdir(parents=True, exist_ok=True)
    agent = start_agent(place, "[kernel]\nenabled = false\n", str(tools))
    bill, begun = Bill("agent", agent.pid), time.monotonic()
    while not (place / "done").exists() and time.monotonic() - begun < 20 * seconds:
        time.sleep(0.5)
        bill.look()
    fed = time.monotonic() - begun
    time.sleep(2)
    agent.send_signal(signal.SIGTERM)
    agent.wait(30)
    sealed = dropped = 0
    for file in sorted((place / "logs").glob("guest-events.log*")):
        if file.suffix not in {".chainstate", ".checkpoint", ".manifest", ".zst"}:
            for line in read_log(file):
                event = json.loads(line.event)
                if event.get("source") == "systemd.journal":
                    sealed += 1
                elif event.get("type") == "agent.loss":
                    facts = {one["key"]: one["value"] for one in event["attributes"]}
                    dropped += int(facts["dropped"]) if facts["of"] == "systemd.journal" else 0
    most = max(bill.rss) / 2**20
    print(
        f"storm, {count:,} journal entries offered at {STORM_RATE:,}/s, taken in {fed:.1f} s ({count / fed:,.0f}/s)"
    )
    print(
        f"  sealed {sealed:,}, declared dropped {dropped:,}, unaccounted {count - sealed - dropped}; RSS at most {most:.1f} MiB"
    )
    broken = (
        [f"{count - sealed - dropped} entries neither sealed nor declared"]
        if count != sealed + dropped
        else []
    )
    return broken + ([f"RSS {most:.1f} MiB in the storm"] if most > 2 * BUDGET_RSS_MIB else [])


def main() -> int:
    """Measure and judge; returns 1 when a budget is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="of the idle measurement (default 300)")
    parser.add_argument("--storm-seconds", type=float, default=5, help="of the storm (default 5)")
    options = parser.parse_args()
    print(*measuring.machine_facts(), f"peer       {measuring.tool_version('atop', '-V')}", "", sep="\n")
    broken = []
    with tempfile.TemporaryDirectory(prefix="observer-bench-") as scratch:
        for name in ("idle", "storm"):
            (Path(scratch) / name).mkdir()
        broken += idle(Path(scratch) / "idle", options.seconds)
        sys.stdout.flush()
        broken += storm(Path(scratch) / "storm", options.storm_seconds)
    for promise in broken:
        print(f"OVER BUDGET {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
