# SPDX-License-Identifier: Apache-2.0
"""The documents keep up: every verb is named, decisions have one shape, the map shows every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house import tree

COMMANDS = sorted((tree.SRC / "observer" / "cli" / "commands").glob("[a-z]*.py"))
ADRS = sorted((tree.ROOT / "docs" / "adr").glob("[0-9]*.md"))
GUIDES = [
    path
    for path in tree.with_suffix(".md")
    if path.name in {"README.md"} or "docs/guides" in tree.named(path)
]
ROOMS = sorted(path for path in (tree.SRC / "observer").iterdir() if (path / "__init__.py").exists())
CRATES = sorted(path.parent for path in (tree.ROOT / "rust").glob("*/Cargo.toml"))


@pytest.mark.parametrize("path", COMMANDS, ids=tree.named)
def test_every_verb_is_in_the_guide(path: Path) -> None:
    verb = path.stem.replace("_", "-")
    wanted = re.compile(rf"observer {re.escape(verb)}\b")
    assert any(wanted.search(guide.read_text(encoding="utf-8")) for guide in GUIDES), (
        f"no guide shows 'observer {verb}'"
    )


@pytest.mark.parametrize("path", ADRS, ids=tree.named)
def test_decision_has_the_house_shape(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    assert headings == ["Context", "Choice", "Price", "What would change our mind"]
    assert len(text.splitlines()) <= 60, "one page"


def test_architecture_is_short_and_shows_every_room() -> None:
    text = (tree.ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    missing = [path.name for path in ROOMS if f"`{path.name}/`" not in text]
    missing += [path.name for path in CRATES if f"`{path.name}`" not in text]
    assert not missing, f"ARCHITECTURE.md does not place {missing}"


def test_architecture_names_tests_that_exist() -> None:
    text = (tree.ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for target in re.findall(r"`((?:rust/[\w-]+/)?tests/[\w/.]+)`", text):
        assert (tree.ROOT / target).exists(), f"ARCHITECTURE.md names {target}"


def test_every_make_target_named_in_the_documents_exists() -> None:
    makefile = (tree.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    for path in tree.with_suffix(".md"):
        for target in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8")):
            assert target in targets, f"{tree.named(path)} speaks of 'make {target}'"
