# SPDX-License-Identifier: Apache-2.0
"""Every module says what it is for, has a name that means something, and can be imported first."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree

REFUSED = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "core", "stuff"}
MODULES = tree.package_files()


@pytest.mark.parametrize("path", tree.with_suffix(".py"), ids=tree.named)
def test_has_a_docstring(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    empty_package = path.name == "__init__.py" and not text.strip()
    assert empty_package or ast.get_docstring(ast.parse(text)), (
        f"{tree.named(path)} does not say what it is for"
    )


@pytest.mark.parametrize("path", tree.rust_files(), ids=tree.named)
def test_rust_file_has_a_docstring(path: Path) -> None:
    head = path.read_text(encoding="utf-8").splitlines()[:3]
    assert any(line.startswith("//!") for line in head), f"{tree.named(path)} does not say what it is for"


@pytest.mark.parametrize("path", [*MODULES, *tree.rust_files()], ids=tree.named)
def test_name_is_a_noun_of_what_is_inside(path: Path) -> None:
    assert not REFUSED & set(path.with_suffix("").parts[len(tree.ROOT.parts) :]), f"rename {tree.named(path)}"


@pytest.mark.parametrize("path", MODULES, ids=tree.named)
def test_imports_alone_in_a_fresh_process(path: Path) -> None:
    name = tree.module_name(path)
    if name.endswith("__main__"):
        pytest.skip("a program, not a module: the CLI tests start it")
    code = f"import warnings; warnings.simplefilter('error'); import {name}"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "", "importing a module must not print"


def test_every_package_directory_is_a_package() -> None:
    homeless = {tree.named(path.parent) for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not homeless, f"no __init__.py in {sorted(homeless)}"
