# SPDX-License-Identifier: Apache-2.0
"""The labelled public set of kernel logs, when it is at hand, and small logs of our own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "tests" / "data" / "report"
WHERE = Path(os.environ.get("OBSERVER_KERNEL_LOGS", ROOT.parent / "shared" / "data" / "kernel-logs"))


def labelled_logs() -> list[Path]:
    """The files of the set in order of number; skips with the reason where it is absent."""
    found = sorted(WHERE.glob("*.txt"), key=lambda path: int(path.stem))
    if not found:
        pytest.skip(
            f"NO LABELLED KERNEL LOGS in {WHERE}: set OBSERVER_KERNEL_LOGS; the corpus bar is NOT checked"
        )
    return found
