# SPDX-License-Identifier: Apache-2.0
"""A command recorded and replayed, and what both wrote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from tests.replay.made import recorded

OBSERVER = [sys.executable, "-m", "observer"]


@dataclass(frozen=True)
class Pair:
    """What a command did when it was recorded, and what its replay did."""

    recording: Path
    recorded: subprocess.CompletedProcess[bytes]
    replayed: subprocess.CompletedProcess[bytes]

    def assert_identical(self) -> None:
        """Fail, and say how to do it again, unless the replay wrote the same bytes and found no difference."""
        again = f"observer replay {self.recording}\n{self.replayed.stderr.decode(errors='replace')[-2000:]}"
        assert self.replayed.returncode == 0, again
        assert self.replayed.stdout == self.recorded.stdout, again
        assert self.replayed.stderr == self.recorded.stderr, again


def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run observer."""
    command = [*OBSERVER, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program's directory with its recording, `rec`; the program's file is gone."""
    return recorded(tmp_path_factory.mktemp("made"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of its own, and no key."""
    monkeypatch.setenv("OBSERVER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., Pair]:
    """Return a function that records a command and replays it."""

    def make(*command: str | Path) -> Pair:
        place = tmp_path / f"rec{len(list(tmp_path.iterdir()))}"
        recorded = run("record", "--replayable", "-q", "-o", place, "--", *command)
        return Pair(place, recorded, run("replay", place))

    return make
