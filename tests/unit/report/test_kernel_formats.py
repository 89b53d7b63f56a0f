# SPDX-License-Identifier: Apache-2.0
"""One log of each kind of report, over kernel ages and architectures, in the three ways a console is kept."""

from __future__ import annotations

import tomllib

import pytest

from benchmarks.diagnosis_corpus import reports
from tests.unit.report.labelled import OWN

CASES = tomllib.loads((OWN / "kernel_formats.toml").read_text())["report"]
PLAIN = "[{0:5}.{1:06}] {2}"
WITH_CONTEXT = "[{0:5}.{1:06}][    T9] {2}"
KMSG = "4,{0},{0}{1:06},-;{2}"


def stamped(log: str, style: str) -> bytes:
    return "\n".join(
        style.format(100, at, line) for at, line in enumerate(log.strip("\n").split("\n"))
    ).encode()


@pytest.mark.parametrize("style", [PLAIN, WITH_CONTEXT, KMSG], ids=["plain", "context", "kmsg"])
@pytest.mark.parametrize("case", CASES, ids=[f"{at}-{case['title'][:40]}" for at, case in enumerate(CASES)])
def test_report(case: dict[str, str], style: str) -> None:
    found = reports(stamped(case["log"], style))
    assert [(one.title, one.type or "") for one in found[:1]] == [(case["title"], case["type"])]
    assert len(found) == 1, [one.title for one in found]
