# SPDX-License-Identifier: Apache-2.0
"""The sealed log against the bare disk and against journald, in one run.

Rates of sealing and verifying are lines per CPU second, so that a busy neighbour does not count; those that wait for the disk are
lines per second. journald gets the same records and fields through `systemd-journal-remote`; without it that half is left out.
Its `--verify` checks hashes, indexes and order of its own format, in one thread; ours checks every hash of ours, in any number.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer.evidence import SealedLog, verify_log

ROOT = Path(__file__).resolve().parent.parent
LINES = 200_000
RECORDS = 100_000
REMOTE = "/lib/systemd/systemd-journal-remote"
TEXT = "service entered failed state after the watchdog timed out; restarting it once more now"


def core(*arguments: str) -> dict[str, float]:
    """Return what the Rust core measures of itself."""
    command = ["cargo", "run", "--quiet", "--release", "-p", "observer-evidence", "--example", "speed", "--"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
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


UNITS = ("sshd", "cron", "systemd-logind", "dbus-daemon", "NetworkManager", "rsyslogd", "agetty", "polkitd")


def record(number: int) -> dict[str, str]:
    """Return 15 of the fields that journald keeps of a service's message; what varies in life varies here."""
    unit, pid = UNITS[number % len(UNITS)], 400 + number * 7 % 30_000
    took_ms, attempt = number * 7919 % 100_000, number % 5
    return {
        "_BOOT_ID": "4fe05be0f9184c91865f3ffa1450bd07",
        "_MACHINE_ID": "6deacc174f304aefd4339672d21e4fb4",
        "_HOSTNAME": "build-7",
        "_TRANSPORT": "syslog",
        "PRIORITY": str(number % 7),
        "SYSLOG_FACILITY": "3",
        "SYSLOG_IDENTIFIER": unit,
        "_PID": str(pid),
        "_UID": "0",
        "_GID": "0",
        "_COMM": unit[:15],
        "_EXE": f"/usr/sbin/{unit}",
        "_SYSTEMD_UNIT": f"{unit}.service",
        "_SYSTEMD_CGROUP": f"/system.slice/{unit}.service",
        "MESSAGE": f"request {number} from 10.0.{number % 250}.{number % 199} took {took_ms} us, attempt {attempt}: "
        "watchdog timed out",
    }


def whole_record(number: int) -> dict[str, str]:
    """Return all fields of such a message, as systemd.journal-fields(7) lists them and journald 252 keeps them."""
    fields = record(number)
    unit, second = fields["SYSLOG_IDENTIFIER"], number // 20
    return {
        **fields,
        "SYSLOG_PID": fields["_PID"],
        "SYSLOG_TIMESTAMP": f"Nov 27 {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02} ",
        "_CMDLINE": f"/usr/sbin/{unit} --system --foreground",
        "_CAP_EFFECTIVE": "1ffffffffff",
        "_SYSTEMD_SLICE": "system.slice",
        "_SYSTEMD_INVOCATION_ID": f"{UNITS.index(unit):02x}b7e3a1c94f4d0f8c2a6be1d0f5a9c3",
        "_RUNTIME_SCOPE": "system",
        "_SOURCE_REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + number * 50_021),
    }


def short_record(number: int) -> dict[str, str]:
    """Return a record of three fields whose text is always the same, which journald stores once: its best case."""
    return {"PRIORITY": "4", "NUMBER": str(number), "MESSAGE": TEXT}


@dataclass
class Measured:
    """What one log of the records costs: CPU seconds, seconds by the clock, bytes a record."""

    cpu_s: float
    wall_s: float
    record_bytes: float


def journald(place: Path, make: Callable[[int], dict[str, str]]) -> Measured | None:
    """Return what journald needs for the records and to verify them; None without journald."""
    if not Path(REMOTE).exists() or shutil.which("journalctl") is None:
        return None
    source, journal = place / "export", place / "journal" / f"{make.__name__}.journal"
    journal.parent.mkdir(exist_ok=True)
    with source.open("w") as opened:
        for number in range(RECORDS):
            fields = {"_BOOT_ID": "4fe05be0f9184c91865f3ffa1450bd07", **make(number)}
            opened.write(
                f"__REALTIME_TIMESTAMP={1_700_000_000_000_000 + number}\n__MONOTONIC_TIMESTAMP={1000 + number}\n"
                + "".join(f"{name}={value}\n" for name, value in fields.items())
                + "\n"
            )
    subprocess.run([REMOTE, "-o", str(journal), str(source)], check=True, capture_output=True)
    files = list(journal.parent.glob(f"{make.__name__}*.journal"))  # it rotates when a file is full
    cpu_s, wall_s = cost_of(
        ["journalctl", "--verify", *(word for file in files for word in ("--file", str(file)))]
    )
    return Measured(cpu_s, wall_s, sum(file.stat().st_size for file in files) / RECORDS)


def cost_of(command: list[str]) -> tuple[float, float]:
    """Return the CPU seconds of a command and the seconds by the clock, the least of three runs each."""
    cpu_s, wall_s = [], []
    for _ in range(3):
        before, started = children_cpu_s(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall_s.append(time.perf_counter() - started)
        cpu_s.append(children_cpu_s() - before)
    return min(cpu_s), min(wall_s)


def write(path: Path, make: Callable[[int], dict[str, str]], **options: Any) -> None:
    """Seal the records, with the same two times as in the journal; compress rotated files, as the agent does by default."""
    with SealedLog.create(path, durability="buffered", **options) as log:
        for first in range(0, RECORDS, 250):
            times = [
                {"t": 1_700_000_000_000_000 + number, "m": 1000 + number, **make(number)}
                for number in range(first, first + 250)
            ]
            log.append_batch([json.dumps(event, separators=(",", ":")).encode() for event in times])
        log.compress_rotated()


def ours(place: Path, make: Callable[[int], dict[str, str]]) -> tuple[Measured, float, float]:
    """Return what the same records and fields cost in one plain file, of how much the hashing alone is, and bytes as kept."""
    path, kept = place / f"{make.__name__}.log", place / f"{make.__name__}-kept"
    write(path, make, rotate_bytes=None, sidecars=False)
    kept.mkdir()
    write(kept / "events.log", make)
    cpu_s, wall_s = [], []
    for _ in range(5):
        started = time.process_time()
        verify_log(path, threads=1)
        cpu_s.append(time.process_time() - started)
        by_clock = time.perf_counter()
        verify_log(path, threads=os.cpu_count() or 1)
        wall_s.append(time.perf_counter() - by_clock)
    hashing = float(core("ceiling", str(path))["sha256_s"])
    kept_bytes = sum(file.stat().st_size for file in kept.iterdir()) / RECORDS
    return Measured(min(cpu_s), min(wall_s), path.stat().st_size / RECORDS), hashing, kept_bytes


def against_journald(place: Path) -> None:
    """Print how the same records fare in both."""
    for title, make in (
        ("a service's records with all fields that journald keeps, 23", whole_record),
        ("the same with 15 of those fields", record),
        ("three fields, one text a hundred thousand times over", short_record),
    ):
        peer = journald(place, make)
        if peer is None:
            print("  journald: NOT MEASURED, systemd-journal-remote is not installed")
            return
        mine, hashing, kept = ours(place, make)
        cores = os.cpu_count() or 1
        print(f"  {RECORDS:,} records: {title}")
        for label, seconds, told in (
            ("journalctl --verify", peer.cpu_s, "records/CPU s"),
            ("verify, one core", mine.cpu_s, f"records/CPU s = {peer.cpu_s / mine.cpu_s:.1f} x journalctl"),
            (
                "  SHA-256 alone",
                hashing,
                f"records/CPU s = {peer.cpu_s / hashing:.1f} x: no core can do more",
            ),
            (
                f"verify, {cores} cores",
                mine.wall_s,
                f"records/s = {peer.wall_s / mine.wall_s:.1f} x journalctl",
            ),
        ):
            print(f"    {label:30} {RECORDS / seconds:12,.0f} {told}")
        for label, size in (
            ("bytes per record, live", mine.record_bytes),
            ("  rotated and compressed", kept),
        ):
            print(
                f"    {label:30} {size:12,.0f} = {size / peer.record_bytes:.2f} of journald's {peer.record_bytes:,.0f}"
            )


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("OBSERVER_BENCH_DIR")) as name:
        place = Path(name)
        facts = core(str(place), str(LINES))
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
        against_journald(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
