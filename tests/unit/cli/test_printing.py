# SPDX-License-Identifier: Apache-2.0
"""Text of strangers cannot move, hide or reorder what a terminal shows."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.cli.printing import print_json, safe


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    assert not {unicodedata.category(char) for char in safe(text)} & {
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
        "Cn",
        "Co",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\nc", "a\\x0db\\x0ac"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("", ""),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_json_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json("s/1", "x", {"text": "\x1b\x7f\u202e\n"})
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out[:-1].isprintable()
    assert json.loads(out) == {"schema": "s/1", "message_type": "x", "text": "\x1b\x7f\u202e\n"}
