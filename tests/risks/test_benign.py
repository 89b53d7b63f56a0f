# SPDX-License-Identifier: Apache-2.0
"""Ordinary work raises nothing high: builds, checkouts, backups, editing, a service that answers."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.risks.executing import risks_of

WORKS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "benign.toml").read_text())["work"]
QUICK = [work for work in WORKS if work.get("quick")]


@pytest.mark.parametrize("work", QUICK, ids=[work["name"] for work in QUICK])
def test_nothing_high(work: dict[str, Any]) -> None:
    absent = [name for name in work.get("needs", ()) if shutil.which(name) is None]
    if absent:
        pytest.skip(f"{work['name']} IS NOT TRIED: no {', '.join(absent)}")
    found = risks_of(work["script"])
    alarms = {rule: str(risk) for rule, risk in found.items() if risk.severity in ("high", "critical")}
    assert alarms == {}
    assert sum(risk.severity == "medium" for risk in found.values()) == 0, sorted(found)
