# SPDX-License-Identifier: Apache-2.0
"""The bar on the labelled public set: coarse type at least 97 %, at most one false alarm."""

from __future__ import annotations

import pytest

from benchmarks.diagnosis_corpus import coarse, load_case, reports
from observer.report.sources.text import read_text
from observer.report.why import explain_lines
from tests.unit.report.labelled import labelled_logs

TYPE_BAR = 0.97
TITLE_BAR = 0.93
ALARMS = 1


@pytest.fixture(scope="module")
def measured() -> list[tuple[str, str, str | None, str | None, str | None]]:
    rows = []
    for path in labelled_logs():
        case = load_case(path)
        found = reports(case.body)
        first = found[0] if found else None
        rows.append((case.name, case.title, case.type, first and first.title, first and first.type))
    return rows


def test_coarse_type(measured: list[tuple[str, str, str | None, str | None, str | None]]) -> None:
    titled = [row for row in measured if row[1]]
    wrong = [row for row in titled if row[3] is None or coarse(row[2]) != coarse(row[4])]
    assert len(wrong) <= (1 - TYPE_BAR) * len(titled), wrong


def test_exact_titles(measured: list[tuple[str, str, str | None, str | None, str | None]]) -> None:
    titled = [row for row in measured if row[1]]
    right = [row for row in titled if row[1] == row[3]]
    assert len(right) >= TITLE_BAR * len(titled), f"{len(right)} of {len(titled)}"


def test_false_alarms(measured: list[tuple[str, str, str | None, str | None, str | None]]) -> None:
    alarms = [row for row in measured if not row[1] and row[3] is not None]
    assert len(alarms) <= ALARMS, alarms


def test_quiet_logs_get_no_culprit() -> None:
    named = []
    for path in labelled_logs():
        case = load_case(path)
        if not case.title:
            verdict = explain_lines(read_text(case.body.split(b"\n"), "log")).verdict
            if verdict not in ("INSUFFICIENT_EVIDENCE", "NOT_A_CRASH"):
                named.append((case.name, verdict))
    assert len(named) <= ALARMS, named
