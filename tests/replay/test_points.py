# SPDX-License-Identifier: Apache-2.0
"""States in the middle of computations: a replay finds each where the recording was, not where registers only look like it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.replay import corpus

WANTED = corpus.programs(
    ("sig_spin_same_place", "thr_spin_same_place", "thr_spin_turns", "sig_spin_interpreter")
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if shutil.which("gcc") is None:
        pytest.skip("SKIPPED: gcc is needed to build the C programs")
    return corpus.build(WANTED, tmp_path_factory.mktemp("programs"))


@pytest.mark.parametrize("program", WANTED, ids=lambda one: one.name)
def test_loops_that_leave_registers_alone_are_followed_to_the_same_pass(
    program: corpus.Program, built: dict[str, Path], tmp_path: Path
) -> None:
    verdict = corpus.check(program, built[program.name], tmp_path)
    assert verdict.kind == "same", f"{verdict.kind}: {verdict.detail}"
