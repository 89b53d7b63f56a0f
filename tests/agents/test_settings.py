# SPDX-License-Identifier: Apache-2.0
"""The configuration: units, bounds, and refusals that name line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.agents.settings import default_text, load_settings
from observer.errors import NotFoundError, ObserverError, UsageError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def test_units(tmp_path: Path) -> None:
    text = '[pressure]\nperiod = "500ms"\nmemory_some10 = "33.5%"\n[log]\nrotate = "2 MiB"\n'
    text += '[agent]\nrate = "7/s"\nqueue = 100\n[network]\nignore = ["a"]\nenabled = false\n'
    settings = load_settings(write(tmp_path, text))
    assert settings["pressure"].number("period") == 0.5
    assert settings["pressure"].number("memory_some10") == 33.5
    assert settings["log"].count("rotate") == 2 << 20
    assert (settings["agent"].number("rate"), settings["agent"].count("queue")) == (7, 100)
    assert (settings["network"].texts("ignore"), settings["network"].flag("enabled")) == (("a",), False)
    assert settings["pressure"].number("cpu_some10") == 60, "what is not said keeps its default"


def test_the_printed_defaults_are_the_defaults(tmp_path: Path) -> None:
    printed = load_settings(write(tmp_path, default_text()))
    assert printed.sections == load_settings().sections


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[pressure]\n\nmemory_some10 = 40\n", 3, 'wants a share such as "90%"'),
        ('[pressure]\nperiod = "5"\n', 2, "length of time with unit"),
        ('[pressure]\nperiod = "5 weeks"\n', 2, "length of time with unit"),
        ('[pressure]\nperiod = "2h"\n', 2, "is not between 100ms and 10m"),
        ('# c\n[presure]\nperiod = "5s"\n', 2, "no section 'presure'"),
        ('[agent]\n[pressure]\nenabled = true\nperiode = "5s"\n', 4, "no setting 'periode'"),
        ("[agent]\nqueue = true\n", 2, "a whole number"),
        ("[agent]\nqueue = -5\n", 2, "is not between"),
        ('[network]\nignore = "lo"\n', 2, "a list of strings"),
        ('[network]\nenabled = "yes"\n', 2, "true or false"),
        ('[log]\nkeep = "5 MB"\n', 2, "a size with unit"),
        ('[resources]\nmemory_warning = "99%"\n', 2, "is above memory_critical"),
        ('[pressure]\nmemory_some10 = "70%"\n', 2, "is above memory_some10_critical"),
        ("[agent\n", 1, "Expected ']'"),
        ("[agent]\nqueue = 1\nqueue = 2\n", 3, "Cannot overwrite"),
        ("queue = 5\n", 1, "no section 'queue'"),
        ('agent.queue = "x"\n', 1, "a whole number"),
    ],
)
def test_refusals_name_line_and_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


def test_not_utf8_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"[agent]\n# \xff\n")
    with pytest.raises(UsageError, match=":2: not UTF-8"):
        load_settings(path)
    with pytest.raises(NotFoundError):
        load_settings(tmp_path / "none.toml")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("c") / "agent.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        load_settings(path)
    except ObserverError:
        return
