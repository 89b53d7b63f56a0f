# SPDX-License-Identifier: Apache-2.0
"""The sealed log against the bare disk and against journald, in one run.

Rates of sealing and verifying are lines per CPU second, so that a busy neighbour does not count; those that wait for the disk are
lines per second. journald gets the same messages through `systemd-journal-remote`; without it that half is left out, and said so.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from observer.evidence import SealedLog, verify_log

ROOT = Path(__file__).resolve().parent.parent
LINES = 200_000
REMOTE = "/lib/systemd/systemd-journal-remote"
TEXT = "service entered failed state after the watchdog timed out; restarting it once more now"


def core(place: Path) -> dict[str, float]:
    """Return what the Rust core measures of itself."""
    command = ["cargo", "run", "--quiet", "--release", "-p", "observer-evidence", "--example", "speed", "--"]
    done = subprocess.run(
        [*command, str(place), str(LINES)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def from_python(place: Path) -> float:
    """Return lines per CPU second sealed from Python in batches of 256, without fsync."""
    event = json.dumps({"source": "systemd.failures", "severity": "Warning", "message": TEXT}).encode()
    batch = [event] * 256
    with SealedLog.create(
        place / "python.log", durability="buffered", rotate_bytes=None, sidecars=False
    ) as log:
        started = time.process_time()
        for _ in range(LINES // 256):
            log.append_batch(batch)
        log.flush()
        return LINES // 256 * 256 / (time.process_time() - started)


def children_cpu_s() -> float:
    """Return CPU seconds of all ended children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def journald(place: Path) -> dict[str, float] | None:
    """Return entries per CPU second that journalctl verifies and bytes per entry, of the same messages."""
    if not Path(REMOTE).exists() or shutil.which("journalctl") is None:
        return None
    count = LINES // 4
    source, journal = place / "export", place / "peer.journal"
    with source.open("w") as opened:
        for number in range(count):
            opened.write(
                f"__REALTIME_TIMESTAMP={1_700_000_000_000_000 + number}\n__MONOTONIC_TIMESTAMP={1000 + number}\n"
                f"_BOOT_ID=4fe05be0f9184c9186 5f3ffa1450bd07\nPRIORITY=4\nSOURCE=systemd.failures\nNUMBER={number}\n"
                f"MESSAGE={TEXT}\n\n".replace("9186 5f", "91865f")
            )
    subprocess.run([REMOTE, "-o", str(journal), str(source)], check=True, capture_output=True)
    before = children_cpu_s()
    subprocess.run(["journalctl", "--verify", "--file", str(journal)], check=True, capture_output=True)
    return {
        "verify_per_s": count / (children_cpu_s() - before),
        "bytes_per_entry": journal.stat().st_size / count,
    }


def ours_of_same(place: Path) -> dict[str, float]:
    """Return the same for the sealed log with the same fields."""
    count, path = LINES // 4, place / "same.log"
    with SealedLog.create(path, durability="buffered", rotate_bytes=None, sidecars=False) as log:
        for first in range(0, count, 250):
            log.append_batch(
                [
                    json.dumps(
                        {
                            "realtime": 1_700_000_000_000_000 + number,
                            "monotonic": 1000 + number,
                            "boot": "4fe05be0f9184c91865f3ffa1450bd07",
                            "priority": 4,
                            "source": "systemd.failures",
                            "number": number,
                            "message": TEXT,
                        },
                        separators=(",", ":"),
                    ).encode()
                    for number in range(first, first + 250)
                ]
            )
    started = time.process_time()
    verify_log(path)
    return {
        "verify_per_s": count / (time.process_time() - started),
        "bytes_per_entry": path.stat().st_size / count,
    }


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("OBSERVER_BENCH_DIR")) as name:
        place = Path(name)
        facts = core(place)
        facts["append_python_per_s"] = from_python(place)
        size, load = facts["bytes_per_line"], os.getloadavg()[0]
        print(f"sealed log, {LINES:,} lines of {size:.0f} bytes, {os.cpu_count()} cores, load {load:.1f}")
        for label, key in (
            ("append, Rust, no fsync", "append_per_s"),
            ("append, Rust, HMAC, no fsync", "append_signed_per_s"),
            ("append, Python, batches of 256", "append_python_per_s"),
            ("verify, one thread", "verify_one_thread_per_s"),
            ("verify with HMAC, one thread", "verify_signed_per_s"),
        ):
            print(f"  {label:32} {facts[key]:12,.0f} lines/CPU s")
        ratio = facts["group_256_per_s"] / facts["bare_fdatasync_256_per_s"]
        print(
            f"  {'group commit of 256':32} {facts['group_256_per_s']:12,.0f} lines/s = {ratio:.0%} of bare write + fdatasync"
        )
        peer, ours = journald(place), ours_of_same(place)
        if peer is None:
            print("  journald                         NOT MEASURED: systemd-journal-remote is not installed")
            return 0
        speed = ours["verify_per_s"] / peer["verify_per_s"]
        print(
            f"  verify, same records             {ours['verify_per_s']:12,.0f} lines/CPU s = {speed:.0f} x journalctl --verify"
        )
        print(
            f"  bytes per record                 {ours['bytes_per_entry']:12.0f}, journald {peer['bytes_per_entry']:.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
