# SPDX-License-Identifier: Apache-2.0
"""The diagnosis against a plain list of expressions on labelled logs, and against grep on a long quiet log, in one run."""

from __future__ import annotations

import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.diagnosis_corpus import DEFAULT, Case, coarse, load_case
from benchmarks.diagnosis_corpus import main as corpus_main
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain

LINES = 50_000
# A peer anybody would write in an afternoon: the earliest match wins.
PEER: tuple[tuple[str, str], ...] = (
    (r"BUG: KASAN", "KASAN"),
    (r"BUG: KMSAN", "KMSAN"),
    (r"BUG: KCSAN", "KCSAN"),
    (r"BUG: KFENCE", "KFENCE"),
    (r"UBSAN:", "UBSAN"),
    (r"NULL pointer dereference", "NULL-POINTER-DEREFERENCE"),
    (r"unable to handle (?:kernel paging request|page fault)", "MEMORY_SAFETY_BUG"),
    (r"kernel BUG at", "BUG"),
    (r"(?:possible \w+ locking|suspicious RCU usage|inconsistent lock|unlock balance)", "LOCKDEP"),
    (r"(?:sleeping function called|scheduling while atomic)", "ATOMIC_SLEEP"),
    (r"(?:rcu\w* .*detected stall|soft lockup|blocked for more than)", "HANG"),
    (r"(?:memory leak|unreferenced object)", "LEAK"),
    (r"WARNING: .*refcount", "REFCOUNT_WARNING"),
    (r"WARNING:", "WARNING"),
    (r"(?:general protection fault|Kernel panic|divide error|Internal error)", "DoS"),
)
QUIET = (
    "sshd[123]: Accepted publickey for root from 10.0.0.1 port 22 ssh2",
    "CRON[99]: (root) CMD (run-parts)",
    "kernel: [%d.%06d] usb 1-1: new high-speed USB device number 9 using xhci_hcd",
    'kernel: [%d.%06d] audit: type=1400 audit(1:2): apparmor="ALLOWED" operation="open" comm="y"',
    "systemd[1]: Started Session 12 of User root.",
    'nginx[1]: 10.0.0.1 - - "GET / HTTP/1.1" 200 612',
)


def peer_type(body: bytes) -> str | None:
    """The type by the peer's list."""
    text = body.decode("utf-8", "replace")
    found = [(match.start(), kind) for pattern, kind in PEER if (match := re.search(pattern, text))]
    return min(found)[1] if found else None


def labelled() -> list[Case]:
    """The labelled logs at hand."""
    return [load_case(path) for path in sorted(DEFAULT.glob("*.txt"))]


def quiet_log(path: Path) -> None:
    """Write a long syslog file in which nothing happens; the same each time."""
    dice = random.Random(1)
    with path.open("w") as stream:
        for number in range(LINES):
            text = dice.choice(QUIET)
            text = text % (number, number % 1_000_000) if "%d" in text else text
            stream.write(
                f"Nov 23 {number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d} host {text}\n"
            )


def main() -> int:
    """Print both tables."""
    cases = labelled()
    if cases:
        corpus_main([])
        titled = [case for case in cases if case.title]
        right = sum(coarse(peer_type(case.body)) == coarse(case.type) for case in titled)
        alarms = sum(peer_type(case.body) is not None for case in cases if not case.title)
        print(
            f"peer here     {right}/{len(titled)}  {100 * right / len(titled):.1f} % of types, {alarms} false alarms"
        )
    else:
        print(f"no labelled logs in {DEFAULT}: accuracy not measured", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "syslog"
        quiet_log(log)
        begun = time.perf_counter()
        explain([SourceSpec(SourceKind.SYSLOG, log)])
        ours = time.perf_counter() - begun
        begun = time.perf_counter()
        pattern = "|".join(pattern.replace("(?:", "(").replace(r"\w", "[a-z]") for pattern, _ in PEER)
        subprocess.run(["grep", "-cE", pattern, str(log)], stdout=subprocess.DEVNULL, check=False)
        peer = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"quiet log     {LINES} lines: why {ours:.2f} s ({LINES / ours:,.0f} lines/s), "
        f"grep -E {peer:.2f} s, ratio {ours / peer:.0f}"
    )
    print(f"peak memory   {peak:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
