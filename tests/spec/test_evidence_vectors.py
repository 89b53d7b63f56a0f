# SPDX-License-Identifier: Apache-2.0
"""Every vector gets the same answer from the Python API (over the Rust core) and from the reference verifier.

The Rust core reads the same files in rust/observer-evidence/tests/vectors.rs.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from observer.errors import ObserverError
from observer.evidence import verify_log

ROOT = Path(__file__).parents[2]
VECTORS = sorted((ROOT / "tests/vectors/evidence-log").iterdir())
REFERENCE = ROOT / "docs/spec/reference/verify_log.py"


def load_reference() -> ModuleType:
    sys.path.insert(0, str(REFERENCE.parent))
    try:
        spec = importlib.util.spec_from_file_location("reference_verify_log", REFERENCE)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(REFERENCE.parent))
    return module


reference = load_reference()


def read_vector(path: Path, place: Path) -> tuple[dict[str, str], Path]:
    head, _, data = path.read_bytes().partition(b"\n\n")
    log = place / "vector.log"
    log.write_bytes(data)
    return dict(line.split(": ", 1) for line in head.decode().splitlines()), log


def by_reference(log: Path, key: bytes | None) -> tuple[str, int]:
    try:
        proof = reference.verify([str(log)], key)
    except reference.Finding as finding:
        return finding.args[0], finding.args[1]
    return {"whole": "proven"}.get(proof["tail"]["state"], proof["tail"]["state"]), 0


def by_observer(log: Path, key: bytes | None, threads: int) -> tuple[str, int]:
    try:
        proof = verify_log(log, key=key, threads=threads)
    except ObserverError as error:
        # A malformed event or first line is placed by offset; the offset's line is counted here.
        offset = int(str(error.where.get("offset", 0)))
        return error.code, int(str(error.where.get("line", log.read_bytes()[:offset].count(b"\n") + 1)))
    state = str(proof.tail["state"])
    return {"whole": "proven"}.get(state, state), 0


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_all_verifiers_agree(path: Path, tmp_path: Path) -> None:
    facts, log = read_vector(path, tmp_path)
    key = bytes.fromhex(facts["key"]) if "key" in facts else None
    expected = (facts["expect"], int(facts.get("line", 0)))
    assert by_reference(log, key) == expected
    assert by_observer(log, key, 1) == expected
    assert by_observer(log, key, 3) == expected


def test_the_reference_verifier_keeps_its_promise() -> None:
    text = REFERENCE.read_text()
    assert len(text.splitlines()) <= 150
    assert "observer" not in [
        line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith("import")
    ]
    for line in text.splitlines():
        if line.startswith("import "):
            modules = [name.strip() for name in line.removeprefix("import ").split(",")]
            assert set(modules) <= sys.stdlib_module_names
