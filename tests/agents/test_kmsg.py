# SPDX-License-Identifier: Apache-2.0
"""Kernel Message Tap: headers parsed, severity from the level, numbers that are missing counted, nothing told twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.agents.collector import FeedLoss
from observer.agents.linux import kmsg
from observer.agents.linux.kmsg import KernelMessageTap, parse_record
from observer.errors import CapabilityError
from observer.model.event import EventSeverity
from tests.agents.feeds import BOOT, Machine, facts, until_quiet

RECORDED = [
    b"6,0,0,-,caller=T0;Linux version 6.1.0-37-cloud-amd64\n",
    b"5,1,812345,-,caller=C1;pci 0000:00:01.0: BAR 0: assigned\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n",
    b"7,2,900000,-;this debug line only mentions a bug\n",
    b"2,3,81234456,-,caller=T311;EXT4-fs error (device vda1): ext4_lookup:1785: inode #131\n",
    b"30,4,81300000,-;systemd[1]: a user line at info, with \\x1b[31mcolour\\x0a\n",
]


class Feed:
    """Stands for os.read on /dev/kmsg: one record each read, as the kernel gives them."""

    def __init__(self, records: list[bytes | OSError]) -> None:
        self.records = list(records)

    def __call__(self, handle: int, size: int) -> bytes:
        assert size >= 8192, "a shorter read fails with EINVAL"
        if not self.records:
            raise BlockingIOError
        record = self.records.pop(0)
        if isinstance(record, OSError):
            raise record
        return record


def tap(
    machine: Machine, records: list[bytes | OSError], monkeypatch: pytest.MonkeyPatch, **options: str
) -> KernelMessageTap:
    monkeypatch.setattr(kmsg.os, "read", Feed(records))
    return machine.make(KernelMessageTap, **options)


def test_levels_become_severities_and_words_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    seen = machine.take(until_quiet(tap(machine, [*RECORDED], monkeypatch)))
    info, debug, critical = EventSeverity.INFO, EventSeverity.DEBUG, EventSeverity.CRITICAL
    assert [one.severity for one in seen] == [info, info, debug, critical, info]
    assert facts(seen[1]) == {
        "level": "5",
        "facility": "kern",
        "kmsg_sequence": "1",
        "caller": "C1",
        "device": "+pci:0000:00:01.0",
        "subsystem": "pci",
    }
    assert (seen[4].get("facility"), seen[4].message) == (
        "daemon",
        "systemd[1]: a user line at info, with \x1b[31mcolour\n",
    )


def test_time_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    observed = machine.take(until_quiet(tap(machine, [RECORDED[3]], monkeypatch)))[0].observed
    assert observed is not None
    assert observed.monotonic_ns == 81234456000
    now = machine.clock.now
    assert now.wall_ns - observed.wall_ns == now.monotonic_ns - observed.monotonic_ns


def test_a_later_run_of_the_same_boot_starts_where_the_last_one_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    machine.take(until_quiet(tap(machine, [*RECORDED[:3]], monkeypatch)))
    again = machine.take(until_quiet(tap(machine, [*RECORDED], monkeypatch)))
    assert [one.get("kmsg_sequence") for one in again] == ["3", "4"]


def test_another_boot_is_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    machine.take(until_quiet(tap(machine, [*RECORDED], monkeypatch)))
    other = BOOT.replace("4", "5")
    assert len(machine.take(until_quiet(tap(machine, [*RECORDED], monkeypatch, boot_id=other)))) == len(
        RECORDED
    )


def test_overrun_is_counted_by_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    overrun = OSError(errno.EPIPE, "Broken pipe")
    late = b"6,50,82000000,-;after the storm\n"
    seen = list(until_quiet(tap(machine, [*RECORDED, overrun, overrun, late], monkeypatch)))
    assert [one for one in seen if isinstance(one, FeedLoss)] == [FeedLoss("kernel.kmsg", 45)]
    assert machine.take(seen)[-1].message == "after the storm"


def test_what_was_overwritten_between_two_runs_is_counted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    machine.take(until_quiet(tap(machine, [RECORDED[0]], monkeypatch)))
    seen = list(until_quiet(tap(machine, [RECORDED[3]], monkeypatch)))
    assert seen[0] == FeedLoss("kernel.kmsg", 2)


def test_another_error_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(OSError, match="Input/output"):
        list(until_quiet(tap(machine, [OSError(errno.EIO, "Input/output error")], monkeypatch)))


def test_without_the_device_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError) as caught:
        Machine(tmp_path).make(KernelMessageTap).check_compatible()
    assert "CAP_SYSLOG" in str(caught.value.hint)


@given(st.binary())
def test_hostile_records_are_parsed_or_refused(data: bytes) -> None:
    try:
        record = parse_record(data)
    except ValueError:
        return
    assert 0 <= record.level <= 7


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK | os.W_OK), reason="needs /dev/kmsg, as root")
def test_live(tmp_path: Path) -> None:
    machine = Machine(Path("/"))
    collector = machine.make(KernelMessageTap)
    collector.check_compatible()
    old = machine.take(until_quiet(collector, 100_000))
    mark = f"observer-test {os.getpid()} {tmp_path.name}"
    Path("/dev/kmsg").write_text(f"<4>{mark}\n")
    later = machine.make(KernelMessageTap)
    later.check_compatible()
    try:
        seen = machine.take(until_quiet(later, 100_000))
        found = [one for one in seen if one.message == mark]
        assert len(found) == 1
        assert (found[0].severity, found[0].get("facility")) == (EventSeverity.WARNING, "user")
        assert not {one.get("kmsg_sequence") for one in old} & {one.get("kmsg_sequence") for one in seen}
    finally:
        collector.release()
        later.release()
