# SPDX-License-Identifier: Apache-2.0
"""Invariants that can be read from the sources: I3 (pure model), I4 (one door for time and ids), I6 (a verifier proves)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree
from tests.house.test_layers import imports

MODEL = [path for path in tree.package_files() if path.is_relative_to(tree.SRC / "observer" / "model")]
DOORS = {tree.SRC / "observer" / "clock.py", tree.SRC / "observer" / "ids.py"}
OUTSIDE = {
    "os",
    "io",
    "pathlib",
    "subprocess",
    "socket",
    "time",
    "random",
    "secrets",
    "tempfile",
    "observer.clock",
}
CLOCKS = {
    *(
        f"time.{name}{unit}"
        for name in ("time", "monotonic", "perf_counter", "process_time", "clock_gettime")
        for unit in ("", "_ns")
    ),
    *(
        f"{owner}.{name}"
        for owner in ("datetime", "date", "datetime.datetime")
        for name in ("now", "utcnow", "today")
    ),
    *(f"uuid.uuid{version}" for version in (1, 4, 6, 7)),
}


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every call in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


@pytest.mark.parametrize("path", MODEL, ids=tree.named)
def test_model_does_no_io_and_reads_no_clock(path: Path) -> None:
    assert not imports(path) & OUTSIDE
    assert not [line for line, name in calls(path) if name in {"open", "print", "input"}]


@pytest.mark.parametrize(
    "path", [path for path in tree.rust_files() if "/observer-model/" in str(path)], ids=tree.named
)
def test_the_models_crate_touches_nothing_outside(path: Path) -> None:
    source = "\n".join(tree.code_before_tests(path))
    assert not re.search(r"std::(?:fs|net|io|process|env|os)\b|SystemTime|Instant::now", source)


@pytest.mark.parametrize("path", [path for path in tree.package_files() if path not in DOORS], ids=tree.named)
def test_time_and_ids_enter_through_their_doors(path: Path) -> None:
    taken = [f"line {line}: {name}" for line, name in calls(path) if name in CLOCKS]
    assert not taken, f"{tree.named(path)}: use observer.clock and observer.ids: {taken}"


def verifiers() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield every function of the package whose name promises a proof."""
    for path in tree.package_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("verify"):
                yield path, node


def test_a_verifier_returns_what_it_proved() -> None:
    mute = [
        f"{tree.named(path)}:{node.name}"
        for path, node in verifiers()
        if node.returns is None or ast.unparse(node.returns) in {"bool", "None", "int"}
    ]
    assert not mute, f"these answer yes or no instead of a proof: {mute}"


def test_the_reader_of_calls_sees_clocks(tmp_path: Path) -> None:
    file = tmp_path / "probe.py"
    file.write_text("import time, uuid\ndef f():\n    return time.time_ns(), uuid.uuid4()\n")
    assert {name for _, name in calls(file)} <= CLOCKS
