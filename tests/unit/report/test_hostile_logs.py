# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes a log holds, the answer comes, names nothing that trusted lines do not say, and cites what is there."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.report.diagnosis import load_rules
from observer.report.kernel.rust_names import demangle
from observer.report.render import quote, render_text
from observer.report.sources.text import read_text
from observer.report.why import explain_lines

NEEDLES = sorted({text for signal in load_rules().signals for text in signal.contains})
STAMP = "[%5d.%06d] "
CALM = "INSUFFICIENT_EVIDENCE"

fragment = st.one_of(
    st.sampled_from(NEEDLES),
    st.text(max_size=30),
    st.sampled_from(["[#1]", "BUG: ", "+0x1/0x2", "Call Trace:"]),
)
line = st.lists(fragment, max_size=5).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(line.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=80)), max_size=30
    )
)
def test_any_bytes_get_an_answer_that_can_be_printed(lines: list[bytes]) -> None:
    answer = explain_lines(read_text(lines, "x"))
    known = {verdict.name for verdict in load_rules().verdicts} | {CALM}
    assert answer.verdict in known
    assert 0.0 <= answer.confidence <= 1.0
    assert json.loads(json.dumps(answer.to_dict(), allow_nan=False))["verdict"] == answer.verdict
    text = render_text(answer)
    assert not [char for char in text if ord(char) < 0x20 and char != "\n"]
    for incident in answer.incidents:
        for step in incident.chain:
            assert 1 <= step.evidence.sequence <= len(lines)


@settings(max_examples=150, deadline=None)
@given(st.lists(line.map(lambda text: " ".join(text.split())), min_size=1, max_size=10))
def test_a_program_may_say_what_it_likes(said: list[str]) -> None:
    """Syslog and stamped console lines that carry the name of a process prove nothing of the machine."""
    syslog = [f"Nov 23 10:00:{number:02d} box intruder[66]: {text}" for number, text in enumerate(said)]
    console = [STAMP % (number, 0) + f"intruder[66]: x {text}" for number, text in enumerate(said)]
    for lines in (
        ["Nov 23 10:00:00 box kernel: [    1.000000] up", *syslog],
        ["[    0.500000] up", *console],
    ):
        assert explain_lines(read_text([text.encode() for text in lines], "x")).verdict == CALM


@given(st.text(max_size=300))
def test_quoted_text_cannot_steer_a_terminal(text: str) -> None:
    shown = quote(text)
    assert shown.isprintable()
    assert len(quote("x" * 5000)) <= 160


@given(st.text(alphabet="_RNvMXCIBsE0123456789abcp", max_size=60))
def test_demangling_ends_for_any_symbol(tail: str) -> None:
    assert isinstance(demangle("_R" + tail), str)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        (
            "_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref",
            "<rust_binder::process::Process>::update_ref",
        ),
        ("_RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt", "core::panicking::panic_fmt"),
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_R", "_R"),
        ("_RB_", "_RB_"),
        ("kfree", "kfree"),
    ],
)
def test_rust_names(symbol: str, name: str) -> None:
    assert demangle(symbol) == name


LONG = 60_000
BEGINNINGS = [
    (b"2026-01-01 ", b"1."),
    (b"Mar  1 03:11:11 ", b"a"),
    (b"03-01 03:11:11.100 ", b" "),
    (b"E/", b"a"),
    (b"<3>1 ", b"a"),
    (b"[Mar 1 ", b"0"),
    (b"", b"\x1b[1;1H"),
    (b"", b"\r"),
    (b"", b'{"log":'),
    (b"", b"[ 1.000000]"),
    (b"[ 1.000000] [3:", b" "),
    (b"[ 1.000000] ", b'"'),
    (b"[ 1.000000] ", b"a: "),
    (b"[ 1.000000] WARNING: ", b"a"),
    (b"[ 1.000000] nvme x: ", b"I/O "),
    (b"[ 1.000000] Out of memory: Killed process 1 (", b"a"),
    (b"[ 1.000000] watchdog", b"0"),
    (b"[ 1.000000] INFO: task ", b"blocked "),
]


@pytest.mark.parametrize(("begin", "more"), BEGINNINGS)
def test_no_line_takes_time_beyond_its_length(begin: bytes, more: bytes) -> None:
    text = (begin + more * (LONG // len(more) + 1))[:LONG]
    begun = time.process_time()
    explain_lines(read_text([text], "x"))
    assert time.process_time() - begun < 5, (
        "of the processor: a line of this length takes hundredths of a second"
    )
