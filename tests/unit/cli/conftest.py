# SPDX-License-Identifier: Apache-2.0
"""Every test keeps its recordings in a directory of its own."""

from pathlib import Path

import pytest

from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    monkeypatch.setenv("OBSERVER_HOME", str(place))
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE, "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return place
