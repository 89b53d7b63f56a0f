# SPDX-License-Identifier: Apache-2.0
"""A real machine dies in ten ways: how much of its last minute survived, and what the agent says at its next start."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observer.agents.last_minute import examine_previous_run
from observer.evidence import read_log, verify_log
from observer.model.event_record import EventRecord
from tests.vm import guest as guests
from tests.vm.guest import BUILD, Guest

pytestmark = pytest.mark.skipif(bool(guests.why_not()), reason=guests.why_not() or "-")

FAULTS = tomllib.loads(Path(__file__).with_name("faults.toml").read_text())["fault"]
RESULTS = BUILD / "results.json"
MARK_MS = 100  # between two marks, in the guest's time
MARK_PERIODS = 10  # of marks before a fault, seconds
LOG = "var/log/wsl-monitor/guest-events.log"


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    disk = tmp_path / "disk.qcow2"
    shutil.copy(guests.booted_disk(), disk)
    one = Guest(tmp_path / "guest", disk, load=True, accel=guests.accelerator())
    yield one
    one.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: re.sub(r"\W+", "-", fault["name"]))
def test_fault(
    guest: Guest, fault: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.run(
        "systemd-run --quiet --unit=marks -p OOMScoreAdjust=-1000 -p OOMPolicy=continue /usr/local/sbin/marks"
    )
    time.sleep(MARK_PERIODS)
    for line in fault.get("lines", []):
        guest.attempt(line)
    if "await_type" in fault:
        await_type(guest, fault["await_type"], 200)
    time.sleep(fault.get("wait_s", 2))
    end(guest, fault)
    with guest.files() as root:
        facts = judge(root, fault, guest.marks, tmp_path)
    report(facts, capsys)
    assert facts["verdict"] == fault["verdict"]
    assert set(fault.get("found", [])) <= set(facts["found"])


def await_type(guest: Guest, event_type: str, seconds: int) -> None:
    """Wait until the agent has sealed an event of a type; what never comes is found by `judge`."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if guest.attempt(f'grep -q \'"type":"{event_type}"\' /{LOG}')[0] == 0:
            return
        time.sleep(1)


def end(guest: Guest, fault: dict[str, Any]) -> None:
    if "send" in fault:
        guest.send(fault["send"])
    if fault["end"] == "off":
        guest.await_end()
    elif fault["end"] == "reboot":
        guest.await_boot()  # the shell of the boot before was loaded, and said nothing
        for one in fault.get("expect", []):
            await_type(guest, one["type"], 90)
        guest.attempt("sleep 2; sync")
        guest.cut_power()
    else:
        guest.cut_power()


def judge(root: Path, fault: dict[str, Any], marks: list[int], tmp_path: Path) -> dict[str, Any]:
    """Check what must hold, and measure what survived."""
    sent = max(marks)
    kept = tmp_path / "kept"
    shutil.copytree(root / "var/log/wsl-monitor", kept)
    shutil.copytree(root / "var/lib/wsl-monitor", kept / "state")
    log = kept / "guest-events.log"
    verify_log(log)
    found = incidents(log)  # where QEMU was killed: before the machine came back
    if fault["end"] == "cut":
        previous = examine_previous_run(kept / "guest-events.ring", log, "another boot")
        assert previous.kind == fault["previous"]
        recovered = len(previous.missing)
        next_start(kept)
        verify_log(log)
    else:
        recovered = 0
    keep_for_study(kept, fault["name"])
    records = [EventRecord.from_json(line.event) for line in read_log(log) if line.kind is None]
    for one in fault.get("expect", []):
        assert any(_fits(record, one) for record in records), f"no {one}"
    if fault["end"] == "reboot":
        ends = [record.get("previous_end") for record in records if record.event_type == "agent.start"]
        assert ends[-1] == fault["previous"]
        unclean = next(record for record in records if record.event_type == "agent.unclean_shutdown")
        recovered = int(unclean.get("recovered"))
    ours, journald = _marks(record.message for record in records), _journal_marks(root)
    missing = sorted(set(range(1, sent + 1)) - ours)
    return {
        "fault": fault["name"],
        "sent": sent,
        "lost": len(missing),
        "lost_ms": len(missing) * MARK_MS,
        "recovered": recovered,
        "journald_lost": sent - len(journald & set(range(1, sent + 1))),
        "gaps": [number for number in missing if number < max(ours, default=0)],
        "found": found,
        "verdict": verdict(log),
    }


def keep_for_study(kept: Path, name: str) -> None:
    """Keep what the machine left, beside the results: the library of faults that rules are tried on."""
    place = BUILD / "kept" / re.sub(r"\W+", "-", name)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place, ignore=shutil.ignore_patterns("*.reserve", "state"))


def next_start(logs: Path) -> None:
    """Start the agent on what was kept, as the machine would have done."""
    config = logs / "next.toml"
    names = [
        "journal",
        "kernel",
        "resources",
        "cgroups",
        "crashes",
        "pressure",
        "units",
        "network",
        "blocked",
        "pstore",
        "kills",
        "clocks",
    ]
    config.write_text("".join(f"[{name}]\nenabled = false\n" for name in names))
    words = [
        sys.executable,
        "-m",
        "observer",
        "agent",
        "run",
        "--logs",
        str(logs),
        "--state",
        str(logs / "state"),
    ]
    agent = subprocess.Popen(
        [*words, "--socket", str(logs / "s"), "--config", str(config)], stderr=subprocess.PIPE, text=True
    )
    assert agent.stderr is not None
    assert "run " in agent.stderr.readline()
    agent.terminate()
    agent.wait(30)


def why(log: Path) -> dict[str, Any]:
    """Return what `observer why` says of the log alone."""
    words = [sys.executable, "-m", "observer", "why", "--json", str(log)]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode in (0, 3), result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def verdict(log: Path) -> str:
    return str(why(log)["verdict"])


def incidents(log: Path) -> list[str]:
    return [str(one["verdict"]) for one in why(log)["incidents"]]


def _fits(record: EventRecord, wanted: dict[str, str]) -> bool:
    return all(
        record.event_type == value if key == "type" else record.get(key) == value
        for key, value in wanted.items()
    )


def _marks(messages: Iterator[str]) -> set[int]:
    return {int(match[1]) for match in (re.fullmatch(r"mark (\d+)", text) for text in messages) if match}


def _journal_marks(root: Path) -> set[int]:
    words = [
        "journalctl",
        "--directory",
        str(root / "var/log/journal"),
        "-o",
        "cat",
        "-t",
        "marks",
        "--no-pager",
    ]
    return _marks(
        iter(subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines())
    )


def report(facts: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[facts["fault"]] = facts
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    with capsys.disabled():
        print(
            f"\n{facts['fault']:<26} sent {facts['sent']:>4}  lost {facts['lost']:>3} ({facts['lost_ms']} ms)  "
            f"from the ring {facts['recovered']:>3}  journald lost {facts['journald_lost']:>4}  {facts['verdict']}"
            f"  {' '.join(facts['found'])}"
        )
