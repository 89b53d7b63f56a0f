# SPDX-License-Identifier: Apache-2.0
"""Journal Watcher: the export format in any pieces, priorities, the cursor, a real journal of a previous boot."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.agents.linux.journal import JournalWatcher
from observer.agents.linux.journal_export import ExportParser
from observer.errors import CapabilityError, CaptureError
from observer.model.event import EventSeverity
from tests.agents.feeds import BOOT, Machine, facts

OLD_BOOT = "11111111222233334444555555555555"
CURSOR = (
    "s=0639466d07eb4bbd9a05b5bb;i=4ece7;b=6c7c6013a8f24d2ea9c0;m=4fc72436e;t=4c508a7250db7;x=d3e5610681098c10"
)


def entry(number: int, **fields: bytes) -> bytes:
    """An entry as journald exports it."""
    values = {
        "__CURSOR": f"{CURSOR};n={number}".encode(),
        "__REALTIME_TIMESTAMP": b"%d" % (1_795_776_009_000_000 + number),
        "__MONOTONIC_TIMESTAMP": b"%d" % (81_234_000 + number),
        "_BOOT_ID": BOOT.replace("-", "").encode(),
        "PRIORITY": b"6",
        "_TRANSPORT": b"journal",
        "MESSAGE": b"hello",
    } | fields
    return b"".join(field(name.encode(), value) for name, value in values.items()) + b"\n"


def field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value or not value.isascii():
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


def watcher(
    machine: Machine, tmp_path: Path, stream: bytes, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> JournalWatcher:
    """A watcher whose journalctl prints `stream`, notes its arguments, and ends."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "stream").write_bytes(stream)
    script = tools / "journalctl"
    script.write_text(f'#!/bin/sh\necho "$@" > {tools}/arguments\ncat {tools}/stream\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    (machine.root / "run/log/journal").mkdir(parents=True, exist_ok=True)
    return machine.make(JournalWatcher, **changes)


def read_all(collector: JournalWatcher) -> list[object]:
    seen: list[object] = []
    collector.check_compatible()
    with pytest.raises(CaptureError, match="journalctl ended"):
        for one in collector.events():
            seen.append(one)
    collector.release()
    return [one for one in seen if one is not None]


def test_priority_unit_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "root")
    stream = b"".join(entry(number, PRIORITY=b"%d" % number) for number in range(8))
    stream += entry(9, PRIORITY=b"", _SYSTEMD_UNIT=b"a.service", UNIT=b"b.service", UNIT_RESULT=b"oom-kill")
    seen = machine.take(read_all(watcher(machine, tmp_path, stream, monkeypatch)))
    critical, error, warning = EventSeverity.CRITICAL, EventSeverity.ERROR, EventSeverity.WARNING
    info, debug = EventSeverity.INFO, EventSeverity.DEBUG
    assert [one.severity for one in seen] == [critical] * 3 + [error, warning, info, info, debug, info]
    assert (seen[8].get("unit"), seen[8].get("unit_result")) == ("b.service", "oom-kill")
    observed = seen[3].observed
    assert observed is not None
    assert (observed.wall_ns, observed.monotonic_ns) == (1_795_776_009_000_003_000, 81_234_003_000)


def test_the_next_run_asks_for_what_came_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "root")
    machine.take(read_all(watcher(machine, tmp_path, entry(1) + entry(2), monkeypatch)))
    assert "--lines=10" in (tmp_path / "tools/arguments").read_text()
    assert "--merge" in (tmp_path / "tools/arguments").read_text(), "else the boot before is left out"
    read_all(watcher(machine, tmp_path, b"", monkeypatch))
    assert f"--no-tail --after-cursor={CURSOR};n=2" in (tmp_path / "tools/arguments").read_text()


def test_the_boot_before_keeps_its_name_and_its_kernel_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path / "root")
    machine.put("/dev/kmsg", "")
    stream = entry(1, _BOOT_ID=OLD_BOOT.encode(), _TRANSPORT=b"kernel", MESSAGE=b"last words")
    stream += entry(2, _TRANSPORT=b"kernel", MESSAGE=b"the kernel tap has this one")
    seen = machine.take(read_all(watcher(machine, tmp_path, stream, monkeypatch)))
    assert [one.message for one in seen] == ["last words"]
    assert seen[0].get("boot_id") == "11111111-2222-3333-4444-555555555555"


def test_without_the_kernel_tap_its_lines_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "root")
    seen = read_all(watcher(machine, tmp_path, entry(1, _TRANSPORT=b"kernel"), monkeypatch))
    assert len(seen) == 1


def test_hostile_text_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "root")
    text = b"a\n\nMESSAGE=forged\n__CURSOR=x\n\n\x00\xff\x1b[2J"
    seen = machine.take(read_all(watcher(machine, tmp_path, entry(1, MESSAGE=text) + entry(2), monkeypatch)))
    assert seen[0].message == text.decode("utf-8", "replace")
    assert len(seen) == 2


def test_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "root")
    stream = (
        entry(1, SYSLOG_IDENTIFIER=b"sshd") + entry(2, SYSLOG_IDENTIFIER=b"cron") + entry(3, PRIORITY=b"3")
    )
    stream += entry(4, PRIORITY=b"7", SYSLOG_IDENTIFIER=b"sshd")
    chosen = watcher(machine, tmp_path, stream, monkeypatch, identifiers=["sshd"], least_priority=6)
    assert [facts(one)["cursor"][-1] for one in machine.take(read_all(chosen))] == ["1", "3"]


def test_no_journal_is_degraded(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError):
        Machine(tmp_path).make(JournalWatcher).check_compatible()


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["MESSAGE", "PRIORITY", "_COMM", "X"]), st.binary(), min_size=1),
        max_size=5,
    ),
    st.lists(st.integers(1, 40)),
)
def test_any_pieces_give_the_same_entries(entries: list[dict[str, bytes]], cuts: list[int]) -> None:
    encoded = [{name.encode(): value for name, value in one.items()} for one in entries]
    stream = b"".join(b"".join(field(*pair) for pair in one.items()) + b"\n" for one in encoded)
    parser, found, position = ExportParser(), [], 0
    for cut in [*cuts, len(stream) + 1]:
        found += list(parser.feed(stream[position : position + cut]))
        position += cut
    assert found == encoded


def test_a_huge_value_is_skipped_as_it_arrives() -> None:
    parser = ExportParser()
    size = 50 << 20
    found = list(parser.feed(b"MESSAGE\n" + size.to_bytes(8, "little")))
    for _ in range(size >> 20):
        found += list(parser.feed(b"\n" * (1 << 20)))
        assert len(parser._data) < 2 << 20
    found += list(parser.feed(b"\nPRIORITY=3\n\n"))
    assert [(len(one[b"MESSAGE"]), one[b"PRIORITY"]) for one in found] == [(64 * 1024, b"3")]
