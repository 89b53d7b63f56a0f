# SPDX-License-Identifier: Apache-2.0
"""Real programs replay as recorded, without the files they used: the quick ones once here, all with `make test-replay`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.replay.real.programs import PROGRAMS, Real
from tests.replay.real.running import missing, play, prepared, why_not_here

ALL = os.environ.get("OBSERVER_REAL") == "all"
TIMES = int(os.environ.get("OBSERVER_REAL_TIMES", "1"))
# Of a recording that is marked, the replay may look for a place for 20 s: so many are tried, the others must be marked.
MARKED_REPLAYS = 2


@pytest.mark.parametrize("program", [one for one in PROGRAMS if ALL or one.quick], ids=lambda one: one.name)
def test_replays_as_it_was_recorded(program: Real, tmp_path: Path) -> None:
    if absent := missing(program):
        pytest.skip(f"SKIPPED: no {', '.join(absent)} here: make setup-test installs them on Debian")
    with prepared(program, tmp_path) as ready:
        if reason := why_not_here(ready, tmp_path):
            pytest.skip(f"SKIPPED: {program.name} does not run here unrecorded: {reason}")
        for number in range(TIMES):
            told = play(ready, tmp_path, replays=not program.marked or number < MARKED_REPLAYS)
            assert told.recorded.returncode == program.status, told.recorded.stderr.decode(errors="replace")[
                -2000:
            ]
            assert program.marked or not told.marks, told.marks
            assert told.difference is None or told.marks, f"round {number}: {told.difference}"
