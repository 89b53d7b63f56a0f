# SPDX-License-Identifier: Apache-2.0
"""The flow goes one way: Python rooms by import-linter, the native core and sockets by reading imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree

NATIVE_ROOMS = ("evidence", "trace", "snapshot", "forensic", "plugins", "export")
SOCKET_ROOMS = ("agents/link", "export", "fleet", "assist", "web")
# The doctor asks the kernel what it can do; it opens AF_UNIX/BPF probes and never a connection.
SOCKET_MODULES = {"socket", "socketserver", "http", "urllib", "ssl", "asyncio", "smtplib", "ftplib"}


def imports(path: Path) -> set[str]:
    """Return the full dotted names that a module imports, at any depth of the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = tree.module_name(path).split(".")
                keep = len(package) - node.level + (path.name == "__init__.py")
                base = ".".join([*package[:keep], base]).rstrip(".")
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def in_rooms(path: Path, rooms: tuple[str, ...]) -> bool:
    """Tell whether a module lies in one of these rooms."""
    return any(path.is_relative_to(tree.SRC / "observer" / room) for room in rooms)


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    result = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", tree.package_files(), ids=tree.named)
def test_native_core_is_entered_only_by_the_rooms_that_own_bytes(path: Path) -> None:
    uses = {
        name for name in imports(path) if name == "observer._native" or name.startswith("observer._native.")
    }
    assert not uses or in_rooms(path, NATIVE_ROOMS), f"{tree.named(path)} may not import observer._native"


@pytest.mark.parametrize("path", tree.package_files(), ids=tree.named)
def test_sockets_are_opened_only_by_the_rooms_that_speak_to_others(path: Path) -> None:
    uses = {name for name in imports(path) if name.split(".")[0] in SOCKET_MODULES}
    assert not uses or in_rooms(path, SOCKET_ROOMS), f"{tree.named(path)} imports {sorted(uses)}"


def test_the_reader_of_imports_sees_relative_and_nested_ones(tmp_path: Path) -> None:
    source = "import socket as s\ndef f():\n    from observer import _native\n    from observer._native import verify\n"
    file = tmp_path / "probe.py"
    file.write_text(source)
    assert {"socket", "observer._native", "observer._native.verify"} <= imports(file)


# Within `report`: what a part may import of the others. Lines are read, reports found in them, then both are weighed.
REPORT_PARTS = {"sources": set(), "kernel": {"sources"}, "diagnosis": {"sources", "kernel"}}


@pytest.mark.parametrize("part", REPORT_PARTS)
def test_the_parts_of_the_report_build_on_each_other(part: str) -> None:
    allowed = REPORT_PARTS[part] | {part}
    for path in (tree.SRC / "observer/report" / part).rglob("*.py"):
        used = {name.split(".")[2] for name in imports(path) if name.startswith("observer.report.")}
        assert used <= allowed, f"{tree.named(path)} imports {sorted(used - allowed)} of report"
