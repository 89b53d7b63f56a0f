# SPDX-License-Identifier: Apache-2.0
"""A guest that ends without a word, and what its host recorded of those minutes: that is the cause, the end its symptom."""

from __future__ import annotations

from pathlib import Path

import pytest

from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain

GUEST = """\
{day} 14:20:00{zone} PC systemd[1]: Started Session 1 of User a.
{day} 14:20:01{zone} PC systemd[1]: Started Session 2 of User a.
{day} 14:20:02{zone} PC systemd[1]: Started Session 3 of User a.
{day} 14:22:31{zone} PC CRON[9]: (root) CMD (x)
{day} 14:40:00{zone} PC kernel: [    0.000000] Linux version 5.15.153.1-microsoft-standard-WSL2
{day} 14:40:02{zone} PC kernel: [    2.000000] EXT4-fs (sdc): recovery complete
{day} 14:40:03{zone} PC systemd[1]: Reached target Multi-User System.
"""
NOTATIONS = {
    "RFC 3164": GUEST.format(day="Mar 11", zone=""),
    "RFC 3339": GUEST.format(day="2026-03-11", zone="+00:00").replace("2026-03-11 ", "2026-03-11T"),
}
Event = tuple[str, int, str, dict[str, str]]
POWER, SERVICES, WORKER = (
    "Microsoft-Windows-Kernel-Power",
    "Service Control Manager",
    "Microsoft-Windows-Hyper-V-Worker",
)
HOST: dict[str, list[Event]] = {
    "HOST_BUGCHECK": [(POWER, 41, "14:39:00", {"BugcheckCode": "159"}), ("EventLog", 6008, "14:39:05", {})],
    "HOST_POWER_LOSS": [(POWER, 41, "14:39:00", {"BugcheckCode": "0", "PowerButtonTimestamp": "0"})],
    "HOST_SERVICE_CRASHED": [(SERVICES, 7031, "14:22:40", {"param1": "WSL Service", "param2": "1"})],
    "HOST_OOM_KILLED_VM": [
        ("Microsoft-Windows-Resource-Exhaustion-Detector", 2004, "14:22:20", {"ProcessName": "vmmemWSL"})
    ],
    "UPDATE_TERMINATED": [
        ("MsiInstaller", 1033, "14:22:30", {"param1": "Windows Subsystem for Linux", "param2": "2.3.24.0"})
    ],
    "HOST_SHUTDOWN": [("User32", 1074, "14:22:40", {"param1": "explorer.exe (PC)", "param5": "power off"})],
    "GUEST_KERNEL_PANIC/REPORTED_BY_HOST": [
        (WORKER, 18590, "14:22:33", {"VmName": "WSL", "ErrorCode0": "0x0"})
    ],
    "VM_TURNED_OFF": [(WORKER, 18502, "14:22:33", {"VmName": "WSL"})],
    "SLEEP_RESUME_STALL/WITH_HOST": [
        (POWER, 42, "14:22:40", {"TargetState": "4"}),
        ("Microsoft-Windows-Power-Troubleshooter", 1, "14:39:40", {"SleepTime": "x"}),
    ],
    "ABRUPT_STOP": [(SERVICES, 7036, "14:20:31", {"param1": "BITS", "param2": "running"})],
}


def xml(events: list[Event], day: str = "2026-03-11") -> str:
    """Event records as `wevtutil` prints them."""
    name = "http://schemas.microsoft.com/win/2004/08/events/event"
    parts = []
    for number, (provider, event_id, clock, data) in enumerate(events, 1):
        values = "".join(f"<Data Name='{key}'>{value}</Data>" for key, value in data.items())
        parts.append(
            f"<Event xmlns='{name}'><System><Provider Name='{provider}'/><EventID>{event_id}</EventID><Level>4</Level>"
            f"<TimeCreated SystemTime='{day}T{clock}.0Z'/><EventRecordID>{number}</EventRecordID><Channel>System</Channel>"
            f"</System><EventData>{values}</EventData></Event>"
        )
    return "<Events>" + "\n".join(parts) + "</Events>"


def both(folder: Path) -> str:
    guest, host = (
        SourceSpec(SourceKind.SYSLOG, folder / "syslog"),
        SourceSpec(SourceKind.EVTX, folder / "host.xml"),
    )
    return explain([guest, host]).verdict


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("verdict", HOST)
def test_the_hosts_record_is_the_cause(tmp_path: Path, notation: str, verdict: str) -> None:
    (tmp_path / "syslog").write_text(NOTATIONS[notation])
    (tmp_path / "host.xml").write_text(xml(HOST[verdict]))
    answer = explain(
        [
            SourceSpec(SourceKind.SYSLOG, tmp_path / "syslog"),
            SourceSpec(SourceKind.EVTX, tmp_path / "host.xml"),
        ]
    )
    assert answer.verdict == verdict


def test_what_the_host_recorded_on_another_day_explains_nothing(tmp_path: Path) -> None:
    for notation, text in NOTATIONS.items():
        (tmp_path / "syslog").write_text(text)
        (tmp_path / "host.xml").write_text(xml(HOST["SLEEP_RESUME_STALL/WITH_HOST"], day="2026-01-02"))
        answer = explain(
            [
                SourceSpec(SourceKind.SYSLOG, tmp_path / "syslog"),
                SourceSpec(SourceKind.EVTX, tmp_path / "host.xml"),
            ]
        )
        assert answer.verdict == "ABRUPT_STOP", notation


def test_a_bugcheck_of_the_week_before_did_not_end_todays_guest(tmp_path: Path) -> None:
    (tmp_path / "syslog").write_text(NOTATIONS["RFC 3339"])
    (tmp_path / "host.xml").write_text(xml(HOST["HOST_BUGCHECK"], day="2026-03-04"))
    assert both(tmp_path) == "ABRUPT_STOP"


@pytest.mark.parametrize("first", ["kern.log", "syslog"])
def test_a_fault_is_at_the_end_only_where_no_log_of_the_machine_goes_on(tmp_path: Path, first: str) -> None:
    """The kernel's own log ends with the fault, the machine's other log shows that it went on for hours."""
    fault = [
        "BUG: kernel NULL pointer dereference, address: 0000000000000018",
        "Oops: 0000 [#1] SMP PTI",
        "Call Trace:",
        " a+0x1/0x2",
    ]
    texts = {
        "kern.log": "".join(
            f"2026-03-11T14:20:02.{at:06}+00:00 PC kernel: [  90.{at:06}] {one}\n"
            for at, one in enumerate(fault)
        ),
        "syslog": "".join(
            f"2026-03-11T{hour}:00:00.000000+00:00 PC CRON[9]: (root) CMD (x)\n" for hour in (14, 15, 18)
        ),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    order = [first, *(set(texts) - {first})]
    answer = explain([SourceSpec(SourceKind.SYSLOG, tmp_path / name) for name in order])
    assert answer.verdict == "GUEST_KERNEL_FAULT/OOPS"
