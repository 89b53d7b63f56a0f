# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at more than 500 random points: the log opens, what was acknowledged is there, the whole verifies."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
from pathlib import Path

from observer.errors import FormatError, NotFoundError
from observer.evidence import SealedLog, Severity, audit_logs, read_log
from observer.evidence.writing import LogOptions

KEY = bytes([7]) * 32
MAX_HEADER = 1 << 16
KILLS = int(os.environ.get("OBSERVER_KILLS", "510"))
OPTIONS = LogOptions(
    key=KEY, signing_seed=bytes([3]) * 32, rotate_bytes=30_000, checkpoint_lines=16, epoch_lines=50
)


def write_until_killed(path: Path, shared: mmap.mmap, run: int) -> None:
    """In the child: append for ever; the shared page says which numbers `append` has returned for."""
    log = SealedLog.open(path, OPTIONS) if path.exists() else SealedLog.create(path, OPTIONS)
    number = struct.unpack("<Q", shared[:8])[0]
    while True:
        severity = Severity.ERROR if number % 97 == 0 else Severity.INFO
        log.append(b'{"n":%d,"run":%d}' % (number, run), severity)
        number += 1
        shared[:8] = struct.pack("<Q", number)


def test_nothing_acknowledged_is_lost_by_kill(tmp_path: Path) -> None:
    dice = random.Random(20261123)
    shared = mmap.mmap(-1, 4096)
    path = tmp_path / "events.log"
    logs = 0
    for run in range(KILLS):
        if run % 60 == 0:  # a new log now and then, so that opening stays quick
            path = tmp_path / f"events-{logs}.log"
            logs += 1
            shared[:8] = struct.pack("<Q", 0)
        child = os.fork()
        if child == 0:
            try:
                write_until_killed(path, shared, run)
            finally:
                os._exit(70)
        time.sleep(dice.random() ** 2 * 0.02)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"run {run}: the writer ended by itself with {status}"
        acknowledged = struct.unpack("<Q", shared[:8])[0]
        judge(path, run)  # as the kill left it, half a rotation included
        if run % 60 in (0, 20, 59) and path.exists():
            check(path, acknowledged, run)


def judge(path: Path, run: int) -> None:
    """Whatever lies there after a kill is the log of an honest writer."""
    try:
        (audit,) = audit_logs(path, key=KEY)
    except (NotFoundError, FormatError):  # killed before the first line was whole: nothing was acknowledged
        assert not path.exists() or b"\n" not in path.read_bytes()[:MAX_HEADER], run
        return
    assert audit.holds, (run, audit.findings)


def check(path: Path, acknowledged: int, run: int) -> None:
    with SealedLog.open(path, OPTIONS):
        pass
    (audit,) = audit_logs(path, key=KEY)
    assert audit.holds, (run, audit.findings)
    files = sorted(path.parent.glob(f"{path.name}.2*0*"))
    plain = [file for file in files if file.suffix[1:].isdigit()]
    events = [line.event for file in [*plain, path] for line in read_log(file) if line.kind is None]
    numbers = [int(event[5 : event.index(b",")]) for event in events]
    missing = set(range(acknowledged)) - set(numbers)
    assert not missing, f"run {run}: {len(missing)} acknowledged events are gone, first {min(missing)}"
