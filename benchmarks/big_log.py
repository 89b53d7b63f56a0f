# SPDX-License-Identifier: Apache-2.0
"""Seal a log of 10 GB in one file, verify it with the command, and say how long it took and how much memory it needed.

`make bench-big`; `OBSERVER_BIG_BYTES` makes it smaller, `OBSERVER_BENCH_DIR` says on which disk. The log is removed afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import machine_facts
from observer.evidence import SealedLog

BYTES = int(os.environ.get("OBSERVER_BIG_BYTES", str(10 * 10**9)))
LIMIT_MB = 200  # what the project promises
BATCH = 256
TEXT = "service entered failed state after the watchdog timed out; restarting it once more now"


def seal(path: Path) -> float:
    """Write the log; returns lines per wall second."""
    started, number = time.perf_counter(), 0
    with SealedLog.create(path, durability="buffered", rotate_bytes=None, sidecars=False) as log:
        while number % (BATCH * 256) or path.stat().st_size < BYTES:
            log.append_batch(
                [
                    b'{"n":"%012d","source":"systemd.failures","severity":"Warning","unit":"example-%03d.service","message":"%s"}'
                    % (number + at, at, TEXT.encode())
                    for at in range(BATCH)
                ]
            )
            number += BATCH
    return number / (time.perf_counter() - started)


def verify(path: Path) -> tuple[float, float, int]:
    """Run `observer verify`; returns wall seconds, CPU seconds and peak memory in bytes."""
    program = Path(sys.executable).with_name("observer")
    started = time.perf_counter()
    child = os.posix_spawn(program, [str(program), "verify", str(path)], os.environ)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"observer verify ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main() -> int:
    """Measure and print."""
    print("\n".join(machine_facts()))
    with tempfile.TemporaryDirectory(dir=os.environ.get("OBSERVER_BENCH_DIR")) as name:
        path = Path(name) / "big.log"
        rate = seal(path)
        size = path.stat().st_size
        wall_s, cpu_s, peak = verify(path)
    print(f"sealed from Python       {size / 1e9:.2f} GB, {rate:,.0f} lines/s")
    print(
        f"observer verify          {wall_s:.1f} s, {cpu_s:.1f} CPU s, {size / cpu_s / 1e6:,.0f} MB per CPU second"
    )
    print(f"peak memory of verify    {peak / 1e6:.0f} MB (limit {LIMIT_MB} MB)")
    return 0 if peak < LIMIT_MB * 1e6 else 1


if __name__ == "__main__":
    sys.exit(main())
