# SPDX-License-Identifier: Apache-2.0
"""Writes the table of verdicts in docs/spec/verdicts.md from the rule book, so that the two cannot differ."""

from __future__ import annotations

import re
from pathlib import Path

from observer.report.diagnosis import load_rules

TARGET = "docs/spec/verdicts.md"
BEGIN, END = "<!-- verdicts begin -->\n", "<!-- verdicts end -->\n"
_ABSTAIN = "No verdict: the evidence does not decide. Exit status 3."


def render(text: str) -> str:
    """Return the page with its table made new."""
    rows = ["| verdict | what ended | meaning |", "|---|---|---|"]
    rows += [
        f"| `{one.name}` | {one.scope} | {one.meaning} |"
        for one in sorted(load_rules().verdicts, key=lambda one: one.name)
    ]
    rows.append(f"| `INSUFFICIENT_EVIDENCE` | unknown | {_ABSTAIN} |")
    table = "\n".join(rows) + "\n"
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + table + END, text, flags=re.S)


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[1] / TARGET
    page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")
