# SPDX-License-Identifier: Apache-2.0
"""Verdicts as someone sees them who runs `observer verify`: clocks, newer versions, one file alone, a log at work."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from observer.evidence import SealedLog, Severity, audit_logs
from tests.spec.evidence_forge import KEY, SEED, STAMP, Forge

SECOND = 1_000_000_000


def verify(path: Path, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the command; return its status, its JSON and its errors."""
    command = [sys.executable, "-m", "observer", "verify", str(path), "--json", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def stamp(wall_s: int, boot_s: int) -> dict[str, Any]:
    """Time of a record, so many seconds after the log began by either clock."""
    start: dict[str, Any] = dict(STAMP)
    wall, boot = int(start["wall_ns"]) + wall_s * SECOND, int(start["boot_ns"]) + boot_s * SECOND
    return {**start, "wall_ns": wall, "boot_ns": boot}


@pytest.mark.parametrize(
    ("wall_s", "boot_s", "told"),
    [
        (3610, 10, "steps by 3600000 ms"),
        (-86_390, 10, "steps by -86400000 ms"),
        (10, -5, "boot time runs backwards"),
    ],
)
def test_a_step_of_the_clock_that_nobody_declares_is_an_anomaly(
    tmp_path: Path, wall_s: int, boot_s: int, told: str
) -> None:
    log = Forge().begin().events(3)
    log.add({"dropped": 0, "reason": "", **stamp(wall_s, boot_s)}, "loss")
    (tmp_path / "events.log").write_bytes(log.events(2).bytes())
    status, facts, error = verify(tmp_path / "events.log")
    assert (status, facts[0]["verdict"]) == (14, "CLOCK_ANOMALY")
    (finding,) = facts[0]["findings"]
    assert (finding["code"], finding["first"]) == ("OBS407", 4)
    assert told in finding["text"]
    assert "error[OBS407]: CLOCK_ANOMALY" in error


@pytest.mark.parametrize("step_s", [3600, -86_400])
def test_a_declared_step_is_told_and_is_no_fault(tmp_path: Path, step_s: int) -> None:
    log = Forge().begin().events(3)
    log.add({"step_ns": step_s * SECOND, **stamp(10 + step_s, 10)}, "clock")
    log.add({"dropped": 0, "reason": "", **stamp(20 + step_s, 20)}, "loss")
    path = tmp_path / "events.log"
    path.write_bytes(log.bytes())
    status, facts, _ = verify(path)
    assert (status, facts[0]["verdict"]) == (0, "VERIFIED")
    assert facts[0]["proof"]["clock"] == [{"sequence": 4, "step_ns": step_s * SECOND, "declared": True}]


def test_a_newer_version_is_not_judged_and_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    for log in (
        Forge().begin(version=2).events(3).bytes(),
        Forge().begin().events(3).bytes().replace(b'"version":1', b'"version":2'),
    ):
        path.write_bytes(log)
        status, _, error = verify(path)
        assert status == 15
        assert f"error[OBS501]: {path} is of format version 2, newer than this verifier knows" in error
        assert "Traceback" not in error


def test_a_rotated_file_alone_is_judged_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    with SealedLog.create(path, key=KEY, signing_seed=SEED, rotate_bytes=20_000) as log:
        for first in range(0, 600, 150):
            log.append_batch([b'{"n":%d}' % number for number in range(first, first + 150)])
    first, second, *_ = sorted(file for file in tmp_path.glob("events.log.2*") if file.suffix[1:].isdigit())
    (audit,) = audit_logs(second, key=KEY)
    assert (audit.verdict, audit.files) == ("VERIFIED", 1)
    assert audit.proof is not None
    assert audit.proof.first_sequence == int(second.suffix[1:]) > 0
    second.write_bytes(second.read_bytes().replace(b'{"n":299}', b'{"n":298}'))
    (audit,) = audit_logs(second, key=KEY)
    assert audit.verdict == "TAMPERED"
    assert audit.findings[0].path == second
    (audit,) = audit_logs(first, key=KEY)
    assert audit.verdict == "VERIFIED"


def test_a_log_verifies_while_it_is_written_rotated_compressed_and_pruned(tmp_path: Path) -> None:
    path, stop = tmp_path / "events.log", threading.Event()
    options: dict[str, Any] = {"key": KEY, "signing_seed": SEED, "rotate_bytes": 8000, "checkpoint_lines": 8}

    def write() -> None:
        with SealedLog.create(path, **options) as log:
            number = 0
            while not stop.is_set():
                log.append(b'{"n":%d}' % number, Severity.ERROR if number % 500 == 0 else Severity.INFO)
                number += 1
                if number % 300 == 0:
                    log.compress_rotated()
                    log.prune(6000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not path.exists() or not list(tmp_path.glob("*.zst")):
            assert writer.is_alive()
        verdicts = [audit.verdict for _ in range(40) for audit in audit_logs(path, key=KEY)]
    finally:
        stop.set()
        writer.join()
    # Half a line may be on its way into the file while it is read; nothing else may look wrong.
    assert set(verdicts) <= {"VERIFIED", "TORN_TAIL"}
    assert len(list(tmp_path.glob("*.manifest"))) > len(list(tmp_path.glob("*.zst")))


def test_a_log_pruned_for_long_verifies_and_hides_no_deletion(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    options: dict[str, Any] = {"key": KEY, "signing_seed": SEED, "rotate_bytes": 8000}

    def run(count: int) -> None:
        for _ in range(count):
            log.append_batch([b'{"n":1}'] * 40)
            log.prune(20_000)

    with SealedLog.create(path, **options) as log:
        run(20)
    with SealedLog.open(path, **options) as log:
        run(20)
    (audit,) = audit_logs(path, key=KEY)
    assert audit.verdict == "VERIFIED"
    assert audit.proof is not None
    kept = sorted(file for file in tmp_path.glob("events.log.2*") if file.suffix[1:].isdigit())
    assert audit.proof.pruned_before == audit.proof.first_sequence == int(kept[0].suffix[1:])
    # The records that declared the first ones are gone as well.
    assert min(item["first"] for item in audit.proof.pruned) > 0
    kept[0].unlink()
    with SealedLog.open(path, **options) as log:
        run(20)
    (audit,) = audit_logs(path, key=KEY)
    assert audit.verdict == "SEGMENT_MISSING"
    assert audit.findings[-1].first == int(kept[0].suffix[1:])
