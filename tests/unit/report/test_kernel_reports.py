# SPDX-License-Identifier: Apache-2.0
"""Kernel reports over architectures and kernel ages, and what interleaving, context ids and quoting do to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.diagnosis_corpus import load_case, reports
from observer.report.kernel.frames import Frame, clean_name, parse_frames, parse_pointer
from tests.unit.report.labelled import OWN

LOGS = sorted((OWN / "kernel").glob("*.txt"))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_title_and_type(path: Path) -> None:
    case = load_case(path)
    found = reports(case.body)
    assert found
    assert (found[0].title, found[0].type) == (case.title, case.type)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("  foo+0x12/0x34", [Frame("foo")]),
        ("  ? foo+0x12/0x34", [Frame("foo", sure=False)]),
        (" [<ffffffff81234567>] ? foo.isra.3+0x12/0x34 [mod]", [Frame("foo", sure=False)]),
        (" [<c0412345>] (foo) from [<c0412399>] (bar+0x50/0xac)", [Frame("foo"), Frame("bar")]),
        ("[c00000000123] [c00000000456] foo+0x10/0x60 (unreliable)", [Frame("foo", sure=False)]),
        (" <IRQ>  [<ffffffff813ebb96>] foo+0x2d0/0x2dc", [Frame("foo")]),
        ("__dump_stack lib/dump_stack.c:77 [inline]", []),
        (" __dump_stack lib/dump_stack.c:77 [inline]", [Frame("__dump_stack", sure=False)]),
        ("RAX: 0000000000000000 RBX: 0000000000000000", []),
        ("a program says foo+0x12 is a nice number", []),
    ],
)
def test_frames(text: str, frames: list[Frame]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("RIP: 0010:foo+0x1/0x2 [mod]", "foo"),
        ("RIP: 0010:[<ffffffff82d4e304>]  [<ffffffff82d4e304>] foo+0x24/0x30", "foo"),
        ("RIP: 0033:0x457099", ""),
        ("pc : foo.part.0+0x24/0x80", "foo"),
        ("PC is at foo+0x24/0x80", "foo"),
        ("NIP [c00000000080abcd] foo+0x1c/0x60", "foo"),
        ("Krnl PSW : 0704c00180000000 000003ff80012345 (foo+0x25/0x80 [foo])", "foo"),
        ("lr : foo+0x1/0x2", None),
    ],
)
def test_instruction_pointers(text: str, name: str | None) -> None:
    assert parse_pointer(text) == name


def test_compiler_suffixes_are_stripped() -> None:
    assert [clean_name(name) for name in ("a.constprop.30", "b.isra.0.cold", "c.llvm.123", "d")] == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_two_processors_print_at_once() -> None:
    log = """\
[  1.000000][    T1] BUG: kernel NULL pointer dereference, address: 0000000000000010
[  1.000001][    T2] general protection fault: 0000 [#2] SMP
[  1.000002][    T1] RIP: 0010:one+0x1/0x2
[  1.000003][    T2] RIP: 0010:two+0x1/0x2
[  1.000004][    T2] Call Trace:
[  1.000005][    T1] Call Trace:
[  1.000006][    T2]  callertwo+0x1/0x2
[  1.000007][    T1]  callerone+0x1/0x2
"""
    assert [report.title for report in reports(log.encode())] == [
        "BUG: unable to handle kernel NULL pointer dereference in one",
        "general protection fault in two",
    ]


@pytest.mark.parametrize(
    "line",
    [
        '[    1.000000] audit: type=1400 audit(1.1:1): comm="BUG: KASAN: use-after-free in foo+0x1/0x2"',
        "[    1.000000] usb 1-1: Product: BUG: unable to handle kernel paging request at 0000",
        "[    1.000000] app[7]: Kernel panic - not syncing: x",
        "[    1.000000] systemd[1]: WARNING: CPU: 1 PID: 1 at a.c:1 foo+0x1/0x2",
        "WARNING: CPU: 1 PID: 1 at a.c:1 foo+0x1/0x2",
    ],
)
def test_quoted_heads_are_no_reports(line: str) -> None:
    log = f"[    0.500000] up\n{line}\n[    1.000001] Call Trace:\n[    1.000002]  foo+0x1/0x2\n"
    assert reports(log.encode()) == []


def test_a_panic_that_follows_belongs_to_the_fault() -> None:
    log = """\
[    1.000000] ------------[ cut here ]------------
[    1.000001] WARNING: CPU: 0 PID: 9 at drivers/foo.c:12 foo_open+0x12/0x34
[    1.000002] RIP: 0010:foo_open+0x12/0x34
[    1.000003] Call Trace:
[    1.000004]  bar+0x1/0x2
[    1.000005] Kernel panic - not syncing: panic_on_warn set ...
"""
    (report,) = reports(log.encode())
    assert (report.title, report.panicked) == ("WARNING in foo_open", True)
