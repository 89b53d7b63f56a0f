# SPDX-License-Identifier: Apache-2.0
"""Reports recall and false alarms of the risk rules: every behaviour of cases.toml, and all the ordinary work of benign.toml."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter

from tests.risks.executing import risks_of
from tests.risks.test_benign import WORKS
from tests.risks.test_cases import CASES


def recall() -> int:
    """Print which behaviours are missed; return how many."""
    missed = 0
    cases = [case for case in CASES if not case.get("root") or os.getuid() == 0]
    for case in cases:
        found = risks_of(case["does"], private=case.get("private", False))
        if case["rule"] not in found:
            missed += 1
            print(f"  missed   {case['rule']}: {case['does'].strip().splitlines()[0][:80]}")
    print(
        f"recall     {len(cases) - missed} of {len(cases)} behaviours, {len({case['rule'] for case in cases})} rules"
    )
    return missed


def false_alarms() -> int:
    """Print what ordinary work raises; return how often that is high or critical."""
    totals: Counter[str] = Counter()
    done = 0
    for work in WORKS:
        absent = [name for name in work.get("needs", ()) if shutil.which(name) is None]
        if absent or (work.get("root") and os.getuid() != 0):
            print(f"  left out {work['name']}: {'no ' + ', '.join(absent) if absent else 'needs root'}")
            continue
        found = risks_of(work["script"], timeout_s=600)
        done += 1
        raised = {rule: risk.severity for rule, risk in found.items() if risk.severity != "info"}
        totals.update(raised.values())
        print(
            f"  {work['name']:<28} {', '.join(f'{rule} ({word})' for rule, word in raised.items()) or 'nothing'}"
        )
    counts = ", ".join(f"{totals[word]} {word}" for word in ("critical", "high", "medium", "low"))
    print(f"alarms     {counts}, in {done} kinds of ordinary work")
    return totals["critical"] + totals["high"]


if __name__ == "__main__":
    sys.exit(bool(recall() + false_alarms()))
