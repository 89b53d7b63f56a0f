# SPDX-License-Identifier: Apache-2.0
"""What every tracked text must and must not contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house import tree

SPDX = "SPDX-License-Identifier: Apache-2.0"
SOURCES = [
    path
    for path in tree.files()
    if path.suffix in {".py", ".pyi", ".rs", ".sh", ".c", ".h"} or path.name in {"Makefile", "run"}
]
TEXTS = [
    path
    for path in tree.files()
    if path.suffix in {".md", ".py", ".pyi", ".rs", ".toml", ".sh", ".c", ".h", ".yaml"}
]
# Written in pieces so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(
    "|".join(("/wo" + r"rk/(?!\*)", "/tmp/" + "wt", r"(?<!\w)/ro" + "ot/", r"\.pyen" + "v/"))
)
LATER = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b(?!\((?:#\d+|docs/[^)]+)\))")


@pytest.mark.parametrize("path", SOURCES, ids=tree.named)
def test_source_names_its_licence_first(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines and path.name == "__init__.py":
        return
    first = lines[1] if lines and lines[0].startswith("#!") else (lines or [""])[0]
    assert SPDX in first, f"{tree.named(path)}: first line must carry the SPDX licence id"


@pytest.mark.parametrize("path", TEXTS, ids=tree.named)
def test_no_path_of_one_machine(path: Path) -> None:
    found = MACHINE_PATHS.search(path.read_text(encoding="utf-8"))
    assert found is None, f"{tree.named(path)} names {found.group(0) if found else ''}"


@pytest.mark.parametrize("path", TEXTS, ids=tree.named)
def test_what_is_put_off_has_a_reference(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not LATER.search(line), (
            f"{tree.named(path)}:{number}: say where it is tracked, as in TO" + "DO(#12)"
        )


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".md"], ids=tree.named)
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.split("#")[0]).exists(), f"{tree.named(path)} links to {target}"


def test_one_licence_text() -> None:
    text = (tree.ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
