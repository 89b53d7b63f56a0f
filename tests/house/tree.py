# SPDX-License-Identifier: Apache-2.0
"""What the house tests walk: the project's own files and modules, and nothing that was built."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is tracked or would be, sorted; absolute paths."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(sorted(path for name in listed if name and (path := ROOT / name).is_file()))


def with_suffix(*suffixes: str) -> list[Path]:
    """Return the files whose names end in one of these."""
    return [path for path in files() if path.suffix in suffixes]


def named(path: Path) -> str:
    """Return the path as people write it, from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def package_files() -> list[Path]:
    """Return the Python sources of the package."""
    return [path for path in with_suffix(".py") if path.is_relative_to(SRC)]


def module_name(path: Path) -> str:
    """Return the dotted name of a source file under `src/`."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rust_files() -> list[Path]:
    """Return the Rust sources of the workspace."""
    return [path for path in with_suffix(".rs") if path.is_relative_to(ROOT / "rust")]


def code_before_tests(path: Path) -> list[str]:
    """Return the lines of a Rust file up to its own `#[cfg(test)] mod …` at the end."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("#[cfg(test)]") and any(
            after.startswith("mod ") for after in lines[number : number + 3]
        ):
            return lines[:number]
    return lines
