# SPDX-License-Identifier: Apache-2.0
"""The doctor's answers are found by trying; what can be checked another way agrees."""

import errno
import json
import os
from pathlib import Path

import pytest

from observer.cli.main import run
from observer.cli.probes import PROBES, Finding, Probe, examine


def answers(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, dict[str, object]]:
    assert run(["doctor", "--json", *names]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(
        line["schema"] == "observer.doctor/1" and line["message_type"] == "capability" for line in lines
    )
    return {line["name"]: line for line in lines}


def test_every_answer_is_yes_or_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys)
    assert list(found) == [probe.name for probe in PROBES]
    for answer in found.values():
        assert answer["detail"]
        assert (answer["how"] is None) == answer["available"]


def test_btf_agrees_with_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("/sys/kernel/btf/vmlinux")
    assert answers(capsys, "btf")["btf"]["available"] == (path.exists() and os.access(path, os.R_OK))


def test_probing_leaves_no_child_and_no_descriptor(capsys: pytest.CaptureFixture[str]) -> None:
    def held() -> tuple[set[Path], str]:
        return set(Path("/proc/self/fd").iterdir()), Path("/proc/thread-self/children").read_text()

    before = held()
    answers(capsys)
    assert held() == before


def test_a_refusal_is_an_answer() -> None:
    def refused() -> Finding:
        raise PermissionError(errno.EPERM, "no", "/dev/thing")

    (answer,) = examine([Probe("thing", "tests", refused, "ask nicely")])
    assert (answer.ok, answer.detail, answer.how) == (
        False,
        "/dev/thing: operation not permitted",
        "ask nicely",
    )


def test_unknown_capability_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "time_travel"]) == 2
    assert "error[OBS100]: no capability is called 'time_travel'" in capsys.readouterr().err


def test_table_names_every_capability(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(probe.name in out for probe in PROBES)
