# SPDX-License-Identifier: Apache-2.0
"""Several boots in one log, and the logs of guest and host together."""

from __future__ import annotations

from pathlib import Path

import pytest

from observer.errors import UsageError
from observer.report import why
from observer.report.diagnosis import Diagnosis
from observer.report.render import render_text
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain

A, B = "a" * 32, "b" * 32
START = 1_764_000_000
KERNEL = {"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel"}
MANAGER = {
    "_TRANSPORT": "journal",
    "_PID": "1",
    "_UID": "0",
    "SYSLOG_IDENTIFIER": "systemd",
    "_SYSTEMD_UNIT": "init.scope",
}
PROGRAM = {"_TRANSPORT": "stdout", "_PID": "900", "_UID": "1000", "_SYSTEMD_UNIT": "app.service"}


def entry(boot: str, second: int, message: str, sender: dict[str, str]) -> str:
    at = START + second + (1000 if boot == B else 0)
    fields = {
        "__REALTIME_TIMESTAMP": str(at * 1_000_000),
        "__MONOTONIC_TIMESTAMP": str(second * 1_000_000),
        "_BOOT_ID": boot,
        "MESSAGE": message,
        **sender,
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items()) + "\n"


NEXT = (
    entry(B, 1, "Linux version 6.1", KERNEL)
    + entry(B, 5, "EXT4-fs (sda1): recovery complete", KERNEL)
    + entry(B, 60, "Started y.", MANAGER)
)
RUNNING = entry(A, 100, "Started x.", MANAGER)


def journal(tmp_path: Path, text: str) -> SourceSpec:
    path = tmp_path / "x.export"
    path.write_text(text)
    return SourceSpec(SourceKind.JOURNAL, path)


def explain_journal(tmp_path: Path, text: str) -> Diagnosis:
    return explain([journal(tmp_path, text)])


def test_the_boot_that_died_is_judged_and_not_the_one_that_runs(tmp_path: Path) -> None:
    kill = entry(A, 500, "Out of memory: Killed process 1 (systemd) total-vm:1kB, anon-rss:1kB", KERNEL)
    answer = explain_journal(tmp_path, RUNNING + kill + NEXT)
    assert answer.verdict == "GUEST_OOM"
    assert [incident.verdict for incident in answer.incidents] == ["GUEST_OOM"], (
        "the open disk is its symptom"
    )
    assert answer.primary is not None
    assert answer.primary.boot == A


def test_a_log_that_stops_is_an_abrupt_stop_when_the_next_boot_shows_it(tmp_path: Path) -> None:
    answer = explain_journal(tmp_path, RUNNING + NEXT)
    assert answer.verdict == "ABRUPT_STOP"
    assert any("host" in text for text in answer.missing)


def test_an_orderly_stop_is_one(tmp_path: Path) -> None:
    stop = entry(A, 200, "Reached target Power-Off.", MANAGER)
    assert (
        explain_journal(tmp_path, RUNNING + stop + NEXT.replace("recovery complete", "mounted")).verdict
        == "PLANNED_SHUTDOWN"
    )


def test_a_fault_of_the_running_boot_is_not_hidden_by_an_orderly_stop_before(tmp_path: Path) -> None:
    stop = entry(A, 200, "Reached target Power-Off.", MANAGER)
    kill = entry(B, 90, "Memory cgroup out of memory: Killed process 900 (app) total-vm:1kB", KERNEL)
    answer = explain_journal(tmp_path, RUNNING + stop + NEXT + kill)
    assert answer.verdict == "CGROUP_OOM"


@pytest.mark.parametrize("name", ["kernel", "systemd", "systemd-oomd", "app"])
@pytest.mark.parametrize(
    "words",
    [
        "Kernel panic - not syncing: x",
        "Out of memory: Killed process 1 (x) total-vm:1kB",
        "System is powering down.",
        "Killed /x due to memory pressure for /y being 60.00% > 50.00% for > 20s with reclaim activity",
        "x.service: Main process exited, code=killed, status=9/KILL",
    ],
)
def test_journald_knows_who_spoke_whatever_the_name(tmp_path: Path, name: str, words: str) -> None:
    said = entry(A, 101, words, {**PROGRAM, "SYSLOG_IDENTIFIER": name})
    assert explain_journal(tmp_path, RUNNING + said).verdict == "INSUFFICIENT_EVIDENCE"


def test_a_clock_step_is_seen_from_the_two_clocks(tmp_path: Path) -> None:
    later = entry(A, 101, "b", MANAGER).replace(str(START + 101), str(START + 5101))
    answer = explain_journal(tmp_path, RUNNING + later)
    assert answer.verdict == "CLOCK_STEP"
    assert answer.primary is not None
    assert "5000.0 s" in answer.primary.chain[0].says


EVENT = """<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="{0}"/>
<EventID>{1}</EventID><Level>1</Level><TimeCreated SystemTime="2025-11-24T16:15:00.0Z"/>
<EventRecordID>7</EventRecordID></System><EventData>{2}</EventData></Event>"""


def test_the_host_explains_what_the_guest_cannot(tmp_path: Path) -> None:
    host = tmp_path / "system.xml"
    host.write_text(
        EVENT.format("Microsoft-Windows-Kernel-Power", 41, '<Data Name="BugcheckCode">209</Data>')
    )
    answer = explain([journal(tmp_path, RUNNING + NEXT), SourceSpec(SourceKind.EVTX, host)])
    assert answer.verdict == "HOST_BUGCHECK"
    assert [incident.verdict for incident in answer.incidents] == ["HOST_BUGCHECK"]
    assert {step.evidence.source for step in answer.incidents[0].chain} == {
        "journal:x.export",
        "evtx:system.xml",
    }


def test_a_linux_host_that_kills_its_guest(tmp_path: Path) -> None:
    guest, host = tmp_path / "guest.log", tmp_path / "host.log"
    guest.write_text("[  100.000000] eth0: link up\n[  200.000000] usb 1-1: new device\n")
    host.write_text(
        "Jan 10 03:00:00 pve kernel: Out of memory: Killed process 99001 (qemu-system-x86) total-vm:35000000kB\n"
    )
    answer = explain([SourceSpec(SourceKind.KMSG, guest), SourceSpec(SourceKind.SYSLOG, host)])
    assert answer.verdict == "HOST_OOM_KILLED_VM"


def test_boots_in_the_text_of_journalctl(tmp_path: Path) -> None:
    path = tmp_path / "j.txt"
    path.write_text(
        "Nov 23 01:00:00 h systemd[1]: Started a.\n"
        "Nov 23 01:00:05 h systemd-logind[5]: System is rebooting.\n"
        "-- Boot 0123456789abcdef0123456789abcdef --\n"
        "Nov 23 01:01:00 h kernel: Linux version 6.1\n"
        "Nov 23 02:00:00 h kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=x, GPU has fallen off the bus.\n"
        "-- Boot 1123456789abcdef0123456789abcdef --\n"
        "Nov 23 03:01:00 h kernel: Linux version 6.1\n"
    )
    source = SourceSpec(SourceKind.JOURNAL, path)
    assert explain([source]).verdict == "GPU_BUS_LOSS"
    assert explain([source], boot=-2).verdict == "PLANNED_SHUTDOWN"
    assert explain([source], boot=0).verdict == "INSUFFICIENT_EVIDENCE"


def test_a_journal_that_holds_nothing_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, lost = tmp_path / "log", tmp_path / "run"
    (lost / "machine").mkdir(parents=True)
    kept.mkdir()
    monkeypatch.setattr(why, "GUEST_LOG", str(tmp_path / "none"))
    monkeypatch.setattr(why, "_JOURNALS", (str(kept), str(lost)))
    with pytest.raises(UsageError, match="no journal"):
        why.own_logs()
    (lost / "machine/system.journal").touch()
    assert why.own_logs() == [SourceSpec(SourceKind.JOURNAL, str(lost))]


@pytest.mark.parametrize(
    "next_boot", ["", "Jun 10 11:02:01 host kernel: [    0.000000] Linux version 5.15.0 (x@y)\n"]
)
def test_zeros_where_the_last_lines_should_stand_are_an_abrupt_stop(tmp_path: Path, next_boot: str) -> None:
    log = tmp_path / "syslog"
    lines = "".join(
        f"Jun 10 10:{at:02}:01 host systemd[1]: Started session {at} of user root.\n" for at in range(10)
    )
    log.write_bytes(lines.encode() + b"\0" * 4096 + next_boot.encode())
    answer = explain([SourceSpec(SourceKind.PLAIN, log)])
    assert answer.verdict == "ABRUPT_STOP"
    assert "zeros" in render_text(answer)
    assert "\\x00(" in render_text(answer), "and they do not fill the screen"
    log.write_text(lines, encoding="utf-8")
    assert explain([SourceSpec(SourceKind.PLAIN, log)]).verdict == "INSUFFICIENT_EVIDENCE"
