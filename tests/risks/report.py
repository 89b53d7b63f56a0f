# SPDX-License-Identifier: Apache-2.0
"""Reports recall and false alarms of the risk rules, over cases.toml, trials.toml and the ordinary work of benign.toml.

usage: python -m tests.risks.report [ptrace|ebpf]     how it is recorded; ptrace when nothing is said
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from tests.risks.executing import risks_of
from tests.risks.test_benign import WORKS
from tests.risks.test_cases import CASES

ENGINE = sys.argv[1] if len(sys.argv) > 1 else "ptrace"
TRIALS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "trials.toml").read_text())["trial"]


def left_out(what: dict[str, Any]) -> bool:
    """Print why a behaviour or a work cannot be executed here, if it cannot."""
    absent = [name for name in what.get("needs", ()) if shutil.which(name) is None]
    if absent or (what.get("root") and os.getuid() != 0):
        print(f"  left out {what.get('name')}: {'no ' + ', '.join(absent) if absent else 'needs root'}")
        return True
    return False


def recall() -> int:
    """Print which behaviours are missed; return how many."""
    missed = 0
    cases = [{**case, "any": [case["rule"]], "name": case["rule"]} for case in CASES]
    tried = [each for each in (*cases, *TRIALS) if not left_out(each)]
    for each in tried:
        try:
            found = risks_of(
                each["does"],
                private=each.get("private", False),
                engine=ENGINE,
                prepare=each.get("prepare", ""),
                timeout_s=120,
            )
        except subprocess.TimeoutExpired:
            found = {}
        if not found.keys() & set(each["any"]):
            missed += 1
            print(f"  missed   {each['name']}: found {', '.join(found) or 'nothing'}", flush=True)
    print(
        f"recall     {len(tried) - missed} of {len(tried)} behaviours ({len(CASES)} with a rule of their own)"
    )
    return missed


def false_alarms() -> int:
    """Print what ordinary work raises; return how often that is high or critical."""
    totals: Counter[str] = Counter()
    done = 0
    for work in WORKS:
        if left_out(work):
            continue
        found = risks_of(work["script"], private=work.get("private", False), engine=ENGINE, timeout_s=600)
        done += 1
        # What puts the work into a private place is no part of it.
        own = {"mounts", "namespaces"} if work.get("private") else set()
        raised = {rule: risk.severity for rule, risk in found.items() if risk.severity != "info"}
        raised = {rule: word for rule, word in raised.items() if rule not in own}
        totals.update(raised.values())
        print(
            f"  {work['name']:<28} {', '.join(f'{rule} ({word})' for rule, word in raised.items()) or 'nothing'}"
        )
    counts = ", ".join(f"{totals[word]} {word}" for word in ("critical", "high", "medium", "low"))
    print(f"alarms     {counts}, in {done} kinds of ordinary work")
    return totals["critical"] + totals["high"]


if __name__ == "__main__":
    sys.exit(bool(recall() + false_alarms()))
