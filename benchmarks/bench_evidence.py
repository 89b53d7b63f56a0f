# SPDX-License-Identifier: Apache-2.0
"""The sealed log against the bare disk and against journald, in one run.

Rates of sealing and verifying are lines per CPU second, so that a busy neighbour does not count; those that wait for the disk are
lines per second. journald gets the same records and fields through `systemd-journal-remote`; without it that half is left out.
Its `--verify` checks hashes, indexes and order of its own format; ours checks every hash of ours. Both are one thread.
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
from pathlib import Path

from observer.evidence import SealedLog, verify_log

ROOT = Path(__file__).resolve().parent.parent
LINES = 200_000
RECORDS = 100_000
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


UNITS = ("sshd", "cron", "systemd-logind", "dbus-daemon", "NetworkManager", "rsyslogd", "agetty", "polkitd")


def record(number: int) -> dict[str, str]:
    """Return the fields that journald itself keeps of a service's message; what varies in life varies here."""
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


def short_record(number: int) -> dict[str, str]:
    """Return a record of three fields whose text is always the same, which journald stores once: its best case."""
    return {"PRIORITY": "4", "NUMBER": str(number), "MESSAGE": TEXT}


def journald(place: Path, make: Callable[[int], dict[str, str]]) -> tuple[float, float] | None:
    """Return CPU seconds that journalctl needs to verify the records, and bytes per record; None without journald."""
    if not Path(REMOTE).exists() or shutil.which("journalctl") is None:
        return None
    source, journal = place / "export", place / f"{make.__name__}.journal"
    with source.open("w") as opened:
        for number in range(RECORDS):
            fields = {"_BOOT_ID": "4fe05be0f9184c91865f3ffa1450bd07", **make(number)}
            opened.write(
                f"__REALTIME_TIMESTAMP={1_700_000_000_000_000 + number}\n__MONOTONIC_TIMESTAMP={1000 + number}\n"
                + "".join(f"{name}={value}\n" for name, value in fields.items())
                + "\n"
            )
    subprocess.run([REMOTE, "-o", str(journal), str(source)], check=True, capture_output=True)
    command = ["journalctl", "--verify", "--file", str(journal)]
    return cpu_of(command), journal.stat().st_size / RECORDS


def cpu_of(command: list[str]) -> float:
    """Return the CPU seconds of a command, the least of three runs."""
    taken = []
    for _ in range(3):
        before = children_cpu_s()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(children_cpu_s() - before)
    return min(taken)


def ours(place: Path, make: Callable[[int], dict[str, str]]) -> tuple[float, float, float]:
    """Return CPU seconds of the core and of the whole command, and bytes per record, for the same records and fields."""
    path = place / f"{make.__name__}.log"
    with SealedLog.create(path, durability="buffered", rotate_bytes=None, sidecars=False) as log:
        for first in range(0, RECORDS, 250):
            times = [
                {"t": 1_700_000_000_000_000 + number, "m": 1000 + number, **make(number)}
                for number in range(first, first + 250)
            ]
            log.append_batch([json.dumps(event, separators=(",", ":")).encode() for event in times])
    taken = []
    for _ in range(3):
        started = time.process_time()
        verify_log(path, threads=1)
        taken.append(time.process_time() - started)
    program = str(Path(sys.executable).with_name("observer"))
    return min(taken), cpu_of([program, "verify", "--threads", "1", str(path)]), path.stat().st_size / RECORDS


def against_journald(place: Path) -> None:
    """Print how the same records fare in both."""
    for title, make in (
        ("a service's records as journald keeps them, 15 fields", record),
        ("three fields, one text a hundred thousand times over", short_record),
    ):
        peer = journald(place, make)
        if peer is None:
            print("  journald: NOT MEASURED, systemd-journal-remote is not installed")
            return
        core_s, command_s, size = ours(place, make)
        print(f"  {RECORDS:,} records: {title}")
        print(f"    {'journalctl --verify':30} {RECORDS / peer[0]:12,.0f} records/CPU s")
        print(
            f"    {'verify, one core':30} {RECORDS / core_s:12,.0f} records/CPU s = {peer[0] / core_s:.1f} x journalctl"
        )
        print(
            f"    {'  the command, Python and all':30} {RECORDS / command_s:12,.0f} records/CPU s = {peer[0] / command_s:.1f} x"
        )
        print(
            f"    {'bytes per record':30} {size:12,.0f} = {size / peer[1]:.2f} of journald's {peer[1]:,.0f}"
        )


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
        against_journald(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
