# SPDX-License-Identifier: Apache-2.0
"""Files, functions, parameter lists and rooms stay small enough to be read at once.

Past the first limit a thing is listed in EXCEPTIONS with its reason; past the second the reason has to be that it is a table.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

FILE_TALK, FILE_STOP = 400, 600
FUNCTION_TALK, FUNCTION_STOP = 45, 60
ROOM_TALK = 4_000
PARAMETERS = 5
# Collectors of one system know nothing of the other's; only the pipeline above them is shared. The verbs, one file each,
# know nothing of one another; only what lies beside them is shared. Readers of raw logs know nothing of what is made of their
# lines (test_layers.py).
INNER_ROOMS = ("agents/linux", "agents/windows", "cli/commands", "report/sources")

# "path" or "path:function" -> reason. A reason that begins with "table" lifts the second limit too.
EXCEPTIONS: dict[str, str] = {
    "tools/gen_evidence_vectors.py:vectors": "table: one row for each fault",
    "src/observer/trace": "the public API, and the rules that its summaries apply: both read one recording by the same reader",
    "src/observer/cli": "one file for each verb and action; none uses another's",
    "rust/observer-evidence": "one format: writer, verifier, proofs and notes share its types, and its attack tests its helpers",
    "rust/observer-replay": "recorder and replayer are two ends of one stream: they share its types and tables",
    "rust/observer-image": "one engine: capture and re-creation share its wrappers of the kernel and its reading of mappings",
    "rust/observer-replay/src/effects/table.rs": "table: one row for each system call",
    "rust/observer-probe/src/abi.rs": "one contract: the twin of bpf/record.h, which a test compares with it field by field",
    "rust/observer-py/src/errors.rs:from_evidence": "table: one row for each error of the log",
    **{
        tree.named(path): "table: written by a generator under tools/"
        for path in tree.rust_files()
        if path.parent.name == "generated"
    },
}


def judge(key: str, lines: int, talk: int, stop: int) -> None:
    """Fail when something is too long and no reason, or too weak a reason, is listed."""
    reason = EXCEPTIONS.get(key)
    if lines > stop and not (reason or "").startswith("table"):
        pytest.fail(f"{key} has {lines} lines; {stop} is the end for what is not a table: split it")
    if lines > talk and reason is None:
        pytest.fail(
            f"{key} has {lines} lines (limit {talk}): split it, or list it in EXCEPTIONS with a reason"
        )


def python_functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, lines without docstring, and positional parameters of each function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                doc = node.body[0]
                lines -= (doc.end_lineno or doc.lineno) - doc.lineno + 1
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            yield node.name, lines, len([name for name in names if name not in {"self", "cls"}])


def without_strings(line: str) -> str:
    """Return a Rust line without string and character literals and without its comment."""
    line = re.sub(r'b?"(?:\\.|[^"\\])*"', '""', line)
    line = re.sub(r"b?'(?:\\.[^']*|[^'\\])'", "''", line)
    return line.split("//", 1)[0]


def rust_functions(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Yield name and lines of each function that has a body; by braces, which suffices for formatted code."""
    clean = [without_strings(line) for line in lines]
    for number, line in enumerate(clean):
        match = re.match(
            r"\s*(?:pub(?:\([^)]*\))? )?(?:default |const |async |unsafe |extern \"\" )*fn (\w+)", line
        )
        if match is None:
            continue
        depth, opened = 0, False
        for end in range(number, len(clean)):
            depth += clean[end].count("{") - clean[end].count("}")
            opened = opened or "{" in clean[end]
            if (opened and depth <= 0) or (not opened and clean[end].rstrip().endswith(";")):
                break
        if opened:
            yield match.group(1), end - number + 1


SOURCES = [path for path in tree.with_suffix(".py") if not path.is_relative_to(tree.ROOT / "tests")]


@pytest.mark.parametrize("path", [*tree.with_suffix(".py"), *tree.rust_files()], ids=tree.named)
def test_file_is_short(path: Path) -> None:
    lines = (
        tree.code_before_tests(path)
        if path.suffix == ".rs"
        else path.read_text(encoding="utf-8").splitlines()
    )
    judge(tree.named(path), len(lines), FILE_TALK, FILE_STOP)


@pytest.mark.parametrize("path", tree.with_suffix(".py"), ids=tree.named)
def test_python_functions_are_short(path: Path) -> None:
    for name, lines, _ in python_functions(path):
        judge(f"{tree.named(path)}:{name}", lines, FUNCTION_TALK, FUNCTION_STOP)


@pytest.mark.parametrize("path", SOURCES, ids=tree.named)
def test_parameter_lists_are_short(path: Path) -> None:
    for name, _, parameters in python_functions(path):
        key = f"{tree.named(path)}:{name}"
        allowed = parameters <= PARAMETERS or key in EXCEPTIONS
        assert allowed, (
            f"{key} takes {parameters} positional parameters: make the rest keyword-only, or a dataclass"
        )


@pytest.mark.parametrize("path", tree.rust_files(), ids=tree.named)
def test_rust_functions_are_short(path: Path) -> None:
    for name, lines in rust_functions(tree.code_before_tests(path)):
        judge(f"{tree.named(path)}:{name}", lines, FUNCTION_TALK, FUNCTION_STOP)


def room_of(path: Path) -> str:
    """Return the crate or room of a source; some rooms have rooms of their own within."""
    parts = tree.named(path).split("/")
    depth = 2 if path.suffix == ".rs" else 4 if "/".join(parts[2:4]) in INNER_ROOMS else 3
    return "/".join(parts[:depth])


def test_rooms_and_crates_are_small() -> None:
    sizes: Counter[str] = Counter()
    for path in [*tree.package_files(), *tree.rust_files()]:
        if tree.named(path) in EXCEPTIONS and EXCEPTIONS[tree.named(path)].startswith("table"):
            continue
        sizes[room_of(path)] += len(tree.code_before_tests(path))
    big = {room: lines for room, lines in sizes.items() if lines > ROOM_TALK and room not in EXCEPTIONS}
    assert not big, f"split these rooms (limit {ROOM_TALK} lines): {big}"


def test_every_exception_is_still_needed() -> None:
    known = {tree.named(path) for path in tree.files()}
    known |= {key.rsplit("/", 1)[0] for key in known} | {"/".join(key.split("/")[:2]) for key in known}
    gone = [key for key in EXCEPTIONS if key.split(":")[0] not in known]
    assert not gone, f"EXCEPTIONS lists what is not there: {gone}"


def test_the_measure_of_rust_functions_is_right() -> None:
    source = [
        "pub fn a(x: &str) -> char {",
        '    let s = "}{{"; // }',
        "    '{'",
        "}",
        "fn b();",
        "fn c() {}",
    ]
    assert list(rust_functions(source)) == [("a", 4), ("c", 1)]
