# SPDX-License-Identifier: Apache-2.0
"""The Rust workspace: arrows point down, Python is known to one crate, hostile bytes are read without unsafe or unwrap."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.house import tree

# Lowest first; a crate may depend only on crates of earlier rows.
LAYERS = [
    {"observer-model", "observer-lanes"},
    {"observer-evidence"},
    {"observer-recording", "observer-report", "observer-snapshot"},
    {"observer-capture", "observer-image", "observer-probe", "observer-compare", "observer-export"},
    {"observer-replay"},
    {"observer-py"},
]
BINDING = "observer-py"
PURE = {
    "observer-compare",
    "observer-model",
    "observer-evidence",
    "observer-recording",
    "observer-export",
    "observer-report",
    "observer-snapshot",
}
MANIFESTS = sorted((tree.ROOT / "rust").glob("*/Cargo.toml"))


@pytest.fixture(scope="module")
def crates() -> dict[str, Any]:
    """Return cargo's own description of the workspace's crates, by name."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed: the crates' dependencies are NOT checked")
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    result = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=True)
    return {package["name"]: package for package in json.loads(result.stdout)["packages"]}


def test_every_crate_has_a_layer(crates: dict[str, Any]) -> None:
    assert set(crates) == set().union(*LAYERS), "give each crate its place in LAYERS"


def test_arrows_point_down(crates: dict[str, Any]) -> None:
    level = {name: height for height, names in enumerate(LAYERS) for name in names}
    for name, crate in crates.items():
        uses = {dep["name"] for dep in crate["dependencies"] if dep["name"] in level}
        upward = {used for used in uses if level[used] >= level[name]}
        assert not upward, f"{name} may not depend on {sorted(upward)}"


def test_only_the_binding_crate_knows_python(crates: dict[str, Any]) -> None:
    for name, crate in crates.items():
        knows = any(dep["name"].startswith("pyo3") for dep in crate["dependencies"])
        assert knows == (name == BINDING), name


@pytest.mark.parametrize("manifest", MANIFESTS, ids=tree.named)
def test_crate_takes_the_workspace_lints(manifest: Any) -> None:
    assert tomllib.loads(manifest.read_text(encoding="utf-8")).get("lints") == {"workspace": True}


def test_workspace_denies_what_would_panic_on_hostile_input() -> None:
    lints = tomllib.loads((tree.ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["lints"]
    wanted = {"unwrap_used", "expect_used", "undocumented_unsafe_blocks"}
    assert {lint for lint in wanted if lints["clippy"].get(lint) == "deny"} == wanted


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_crate_forbids_unsafe(name: str) -> None:
    text = (tree.ROOT / "rust" / name / "src" / "lib.rs").read_text(encoding="utf-8")
    assert "#![forbid(unsafe_code)]" in text


def test_nobody_switches_the_lints_off_outside_tests() -> None:
    pattern = re.compile(
        r"(?:allow|expect)\([^)]*clippy::(?:unwrap_used|expect_used|undocumented_unsafe_blocks)"
    )
    guilty = [
        f"{tree.named(path)}: {line.strip()}"
        for path in tree.rust_files()
        if "/tests/" not in tree.named(path) and "/benches/" not in tree.named(path)
        for line in tree.code_before_tests(path)
        if pattern.search(line) and "cfg_attr(test" not in line
    ]
    assert not guilty


def test_lock_file_is_committed_and_current() -> None:
    assert (tree.ROOT / "Cargo.lock") in tree.files()


def test_the_stub_tells_the_truth_about_the_core(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text("observer._native.__all__\n")  # PyO3 makes one; nobody imports with a star
    options = ["--ignore-disjoint-bases", "--allowlist", str(allowed)]
    command = [sys.executable, "-m", "mypy.stubtest", *options, "observer._native"]
    result = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
