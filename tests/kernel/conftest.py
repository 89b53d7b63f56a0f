# SPDX-License-Identifier: Apache-2.0
"""Tests that load the probe: they run where the kernel and the user permit it, and say why where not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from observer.cli.probes import PROBES, examine
from tests.house import tree


def refusal() -> str | None:
    """Return the doctor's reason why no probe loads here; None where it does."""
    wanted = [probe for probe in PROBES if probe.name in {"ebpf", "btf", "ring_buffer"}]
    answers = [answer for answer in examine(wanted) if not answer.ok]
    return "; ".join(f"{a.name}: {a.detail}; get it: {a.how}" for a in answers) or None


REFUSAL = refusal()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything here where the probe cannot load, with the doctor's words."""
    for item in items:
        if "kernel" in item.path.parts and REFUSAL and "without_probe" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason=f"the eBPF probe is NOT tested: {REFUSAL}"))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory with a store of its own."""
    with tempfile.TemporaryDirectory(prefix="observer-kernel-") as name:
        monkeypatch.setenv("OBSERVER_HOME", str(Path(name) / "home"))
        yield Path(name)


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that makes exactly so many getppid calls as it is told, in so many threads."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: loss accounting is NOT tested")
    path = tmp_path_factory.mktemp("busy") / "busy"
    source = tree.ROOT / "tests" / "kernel" / "busy.c"
    subprocess.run(["gcc", "-O2", "-pthread", str(source), "-o", str(path)], check=True)
    return path


def observer(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "observer", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done


def events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a recording's sealed log."""
    lines = (path / "sealed.log").read_text(encoding="utf-8").splitlines()
    return [event for event in (json.loads(line)["event"] for line in lines) if "type" in event]


def calls(path: Path, *words: str) -> list[dict[str, Any]]:
    """Return the decoded calls of a recording."""
    out = observer("show", path, "--json", "--calls", *words).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return [row for row in rows if "syscall" in row]


def eventually(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


def root_only() -> None:
    """Skip what needs root's files."""
    if os.geteuid() != 0:
        pytest.skip("not root: containers are NOT tested")
