# SPDX-License-Identifier: Apache-2.0
"""Readers say who spoke, when, and what exactly was written, whatever the format."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.errors import CapabilityError, FormatError, NotFoundError
from observer.report.sources import LogLine, Origin, SourceKind, read_source
from observer.report.sources.text import read_text


def one(line: str) -> LogLine:
    lines = list(read_text([line.encode()], "s"))
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("line", "origin", "text", "mono"),
    [
        ("6,339,5140900,-;NET: Registered PF_INET", Origin.KERNEL, "NET: Registered PF_INET", 5140900),
        ("12,340,5140901,-;Kernel panic - not syncing", Origin.USER, "Kernel panic - not syncing", 5140901),
        ("4,341,7,-,caller=T12;a\\x0ab", Origin.KERNEL, "a\nb", 7),
        ("[   12.345678] usb 1-1: new", Origin.KERNEL, "usb 1-1: new", 12_345_678),
        ("[   12.345678][  T100] usb 1-1: new", Origin.KERNEL, "usb 1-1: new", 12_345_678),
        ("<4>[   12.345678] usb 1-1: new", Origin.KERNEL, "usb 1-1: new", 12_345_678),
        ("<12>[   12.345678] usb 1-1: new", Origin.USER, "usb 1-1: new", 12_345_678),
        ("kern  :warn  : [   12.345678] usb", Origin.KERNEL, "usb", 12_345_678),
        ("user  :warn  : [   12.345678] usb", Origin.USER, "usb", 12_345_678),
        ("Nov 23 10:00:00 box kernel: [   12.345678] usb", Origin.KERNEL, "usb", 12_345_678),
        ("Nov 23 10:00:00 box kernel[77]: usb", Origin.USER, "usb", None),
        ("Nov 23 10:00:00 box systemd[1]: Started x.", Origin.SYSTEMD, "Started x.", None),
        (
            "Nov 23 10:00:00 box app[5]: kernel: [ 1.000000] BUG: x",
            Origin.USER,
            "kernel: [ 1.000000] BUG: x",
            None,
        ),
        ("2026-11-23T10:00:00.123456+01:00 box kernel: [    1.000000] x", Origin.KERNEL, "x", 1_000_000),
        ("[   12.345678] systemd[1]: Started x.", Origin.SYSTEMD, "Started x.", 12_345_678),
        (
            "[   12.345678] evil[66]: Kernel panic - not syncing",
            Origin.USER,
            "Kernel panic - not syncing",
            12_345_678,
        ),
        (
            "[   12.345678] app[7]: segfault at 0 ip 1 sp 2",
            Origin.KERNEL,
            "app[7]: segfault at 0 ip 1 sp 2",
            12_345_678,
        ),
        ("kernel: usb 1-1: new", Origin.KERNEL, "usb 1-1: new", None),
        ("earlyoom[17]: low memory!", Origin.USER, "low memory!", None),
        ("avril 16 21:08:50 systemd-oomd[9]: Killed", Origin.SYSTEMD, "Killed", None),
        ("Mon 2026-11-23 04:30:55 UTC box kernel: hello", Origin.KERNEL, "hello", None),
        ("<13>1 2026-11-23T10:00:00Z box app 44 - - hello", Origin.USER, "hello", None),
    ],
)
def test_who_spoke_and_what(line: str, origin: Origin, text: str, mono: int | None) -> None:
    got = one(line)
    assert (got.origin, got.text, got.mono_us) == (origin, text, mono)
    assert got.sha256 == hashlib.sha256(line.encode()).hexdigest()


def test_a_kernel_record_behind_a_prompt_is_found() -> None:
    lines = list(
        read_text(
            [b"[    1.000000] up", b"login: [    9.000000][    C1] rcu: INFO: rcu_sched self-detected"], "s"
        )
    )
    assert [(line.origin, line.text) for line in lines[1:]] == [
        (Origin.CONSOLE, "login: "),
        (Origin.KERNEL, "rcu: INFO: rcu_sched self-detected"),
    ]


def test_a_stamp_inside_a_device_name_makes_no_line() -> None:
    text = b"[   50.000000] usb 1-1: Product: [   51.000000x] [ 9999.000000] Kernel panic - not syncing: x"
    assert len(list(read_text([text], "s"))) == 1


def test_once_the_kernel_stamps_its_lines_an_unstamped_claim_is_a_user() -> None:
    lines = list(
        read_text(
            [b"Nov 23 10:00:00 b kernel: [    1.000000] up", b"Nov 23 10:00:01 b kernel: Kernel panic"], "s"
        )
    )
    assert [line.origin for line in lines] == [Origin.KERNEL, Origin.USER]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_make_a_text_reader_raise(lines: list[bytes]) -> None:
    for line in read_text(lines, "s"):
        assert line.raw in lines


EXPORT = (
    b"__CURSOR=a\n__REALTIME_TIMESTAMP=1700000000000000\n__MONOTONIC_TIMESTAMP=5000000\n_BOOT_ID=b1\n_TRANSPORT=kernel\n"
    b"PRIORITY=4\nMESSAGE=hello\n\n"
    b"__REALTIME_TIMESTAMP=1700000001000000\n_BOOT_ID=b1\n_TRANSPORT=stdout\nSYSLOG_IDENTIFIER=kernel\nMESSAGE\n"
    + struct.pack("<Q", 9)
    + b"two\nlines\n\n"
)


def test_journal_export_with_binary_field(tmp_path: Path) -> None:
    path = tmp_path / "x.export"
    path.write_bytes(EXPORT)
    first, second = read_source(SourceKind.JOURNAL, path)
    assert (first.origin, first.text, first.boot, first.mono_us) == (Origin.KERNEL, "hello", "b1", 5_000_000)
    assert (second.origin, second.text) == (Origin.USER, "two\nlines"), "an identifier is only a claim"


def test_journal_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(
        '{"__REALTIME_TIMESTAMP":"1","_BOOT_ID":"b","_PID":"1","_UID":"0","MESSAGE":"Started.","SYSLOG_IDENTIFIER":"systemd"}\n'
        '{"__REALTIME_TIMESTAMP":"2","_BOOT_ID":"b","MESSAGE":[104,105]}\nnot json\n'
    )
    lines = list(read_source(SourceKind.JOURNAL, path))
    assert [(line.origin, line.text) for line in lines] == [(Origin.SYSTEMD, "Started."), (Origin.USER, "hi")]


@pytest.mark.parametrize("cut", range(0, len(EXPORT), 7))
def test_a_journal_cut_anywhere_does_not_hang_or_raise_unknown(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.export"
    path.write_bytes(EXPORT[:cut])
    try:
        list(read_source(SourceKind.JOURNAL, path))
    except FormatError as error:
        assert error.hint


@pytest.mark.skipif(
    shutil.which("systemd-cat") is None or shutil.which("journalctl") is None, reason="NO journalctl HERE"
)
def test_a_real_journal_directory_is_read_or_refused_clearly(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError):
        list(read_source(SourceKind.JOURNAL, tmp_path / "empty"))
    version = subprocess.run(["journalctl", "--version"], capture_output=True, text=True, check=False)
    assert "systemd" in version.stdout


XML = """<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="User32"/>
<EventID Qualifiers="32768">1074</EventID><Level>4</Level><TimeCreated SystemTime="2026-11-23T08:01:05.5Z"/>
<EventRecordID>77</EventRecordID><Channel>System</Channel></System><EventData><Data>C:\\x.exe</Data><Data>PC</Data></EventData></Event>"""


def test_windows_event_as_xml(tmp_path: Path) -> None:
    path = tmp_path / "s.xml"
    path.write_text(f"<Events>{XML}</Events>")
    (line,) = read_source(SourceKind.EVTX, path)
    assert (line.origin, line.number, line.fields["event_id"], line.fields["provider"]) == (
        Origin.HOST,
        77,
        "1074",
        "user32",
    )
    assert line.fields["param1"] == "C:\\x.exe"
    assert line.wall_us == 1_795_420_865_500_000


def test_windows_event_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(
        '{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Kernel-Power"}},"EventID":41,"Level":1,'
        '"TimeCreated":{"#attributes":{"SystemTime":"2026-11-23T08:01:05Z"}}},"EventData":{"BugcheckCode":159}}}\n'
    )
    (line,) = read_source(SourceKind.EVTX, path)
    assert (line.fields["provider"], line.fields["event_id"], line.fields["BugcheckCode"]) == (
        "microsoft-windows-kernel-power",
        "41",
        "159",
    )


def test_an_entity_bomb_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text('<Events><Event><!DOCTYPE x [<!ENTITY a "b">]><System/></Event></Events>')
    assert list(read_source(SourceKind.EVTX, path)) == []


def test_compressed_logs_and_clear_refusals(tmp_path: Path) -> None:
    packed = tmp_path / "kern.log.gz"
    packed.write_bytes(gzip.compress(b"[    1.000000] hello\n"))
    assert [line.text for line in read_source(SourceKind.DMESG, packed)] == ["hello"]
    packed.write_bytes(gzip.compress(b"[    1.000000] hello\n" * 999)[:60])
    with pytest.raises(FormatError):
        list(read_source(SourceKind.DMESG, packed))
    with pytest.raises(NotFoundError):
        list(read_source(SourceKind.DMESG, tmp_path / "no"))
    with pytest.raises((FormatError, CapabilityError)):
        list(read_source(SourceKind.DMESG, tmp_path))
    (tmp_path / "text.evtx").write_text("hello")
    with pytest.raises(FormatError):
        list(read_source(SourceKind.EVTX, tmp_path / "text.evtx"))
