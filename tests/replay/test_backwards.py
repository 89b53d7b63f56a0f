# SPDX-License-Identifier: Apache-2.0
"""Call by call and backwards: with --step, and with gdb's reverse commands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.replay.made import OBSERVER
from tests.replay.test_gdb import gdb

pytestmark = pytest.mark.usefixtures("home")


def step(made: Path, keys: str, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [OBSERVER, "replay", str(made / "rec"), "--step", *options]
    return subprocess.run(argv, input=keys, capture_output=True, text=True, timeout=60, check=False)


def test_steps_go_forwards_and_backwards(made: Path) -> None:
    done = step(made, "n\nn\nb\nn\nb\nb\nb\nq\n", "--json")
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    events = [one["event"] for one in seen]
    first, second, third = events[:3]
    assert done.returncode == 0 and first < second < third
    assert events[3:] == [second, third, second, first, first]
    for event in (first, second, third):
        states = [one["registers"] for one in seen if one["event"] == event]
        assert all(state == states[0] for state in states)


def test_what_was_written_is_written_once(made: Path) -> None:
    keys = "n\n" * 60 + "b\n" * 5 + "c\n"
    done = step(made, keys)
    assert done.returncode == 0 and "replayed to the end" in done.stderr
    assert done.stdout.encode() == (made / "stdout").read_bytes()


def test_gdb_goes_back_to_the_last_breakpoint_and_forward_again(made: Path) -> None:
    out = gdb(
        made,
        [
            "break look",
            "continue",
            "continue",
            "print path",
            "print counter",
            "reverse-continue",
            "print path",
            "print counter",
            "continue",
            "print path",
            "delete",
            "reverse-continue",
            "print $rip",
        ],
    )
    told = re.findall(r"^\$\d+ = (.*)$", out, flags=re.M)
    assert ["/etc/passwd" in told[0], told[1], "/etc/hostname" in told[2], told[3]] == [
        True,
        "10",
        True,
        "0",
    ], out
    assert "/etc/passwd" in told[4]
    assert "No more reverse-execution history" in out and "_start" in told[5]


def test_gdb_steps_back_over_a_call_and_an_instruction(made: Path) -> None:
    places = ["info registers rip rax rsp"]
    forward = ["break look", "continue", *places, "stepi", *places, "stepi", *places]
    back = [
        "reverse-stepi",
        *places,
        "reverse-stepi",
        *places,
        "finish",
        "reverse-finish",
        "info registers rip",
    ]
    out = gdb(made, forward + back)
    states = re.findall(r"^rip\s+(0x\w+).*\nrax\s+(0x\w+).*\nrsp\s+(0x\w+)", out, flags=re.M)
    assert len(states) == 5, out
    assert states[3] == states[1] and states[4] == states[0]
    assert states[0] != states[1] != states[2]
