# SPDX-License-Identifier: Apache-2.0
"""Our C programs, recorded and replayed: a part of them here, all of them with `make corpus`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.replay import corpus

ALL = corpus.programs()
# Every how-manieth program is tried in `make test`; another part each time would make failures come and go.
PART = 8
WANTED = ALL if os.environ.get("OBSERVER_CORPUS") == "all" else ALL[::PART]
TIMES = int(os.environ.get("OBSERVER_CORPUS_TIMES", "1"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if shutil.which("gcc") is None:
        pytest.skip("SKIPPED: gcc is needed to build the C programs")
    return corpus.build(WANTED, tmp_path_factory.mktemp("programs"))


def test_there_are_programs_for_every_kind_of_behaviour() -> None:
    kinds = {one.name.partition("_")[0] for one in ALL}
    assert len(ALL) >= 150
    assert kinds == {
        "end",
        "file",
        "ipc",
        "mem",
        "pipe",
        "poll",
        "proc",
        "rand",
        "sig",
        "sock",
        "sys",
        "term",
        "thr",
        "time",
    }


@pytest.mark.parametrize("program", WANTED, ids=lambda one: one.name)
def test_program_replays_as_it_was_recorded(
    program: corpus.Program, built: dict[str, Path], tmp_path: Path
) -> None:
    if program.name in corpus.NOT_YET:
        pytest.skip(f"SKIPPED: does not replay yet: {corpus.NOT_YET[program.name]}")
    verdict = corpus.check(program, built[program.name], tmp_path, times=TIMES)
    assert verdict.kind == "same", f"{verdict.kind}: {verdict.detail}"
