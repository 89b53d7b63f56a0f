# SPDX-License-Identifier: Apache-2.0
"""Real containers of crun, runc and podman, captured by name; and a recorded plugin by its id."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from observer import snapshot
from tests.kernel.conftest import root_only
from tests.kernel.test_containers import BEFORE, LIMITS, bundle, root_file_system

INSIDE = "WORDS='kept in a container'; export WORDS; (sleep 1000; true) & i=0; while true; do i=$((i+1)); sleep 0.05; done"
QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


@pytest.fixture(params=["runc", "crun"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Start a container of one runtime; yields its name."""
    root_only()
    runtime = str(request.param)
    if not all(map(shutil.which, (runtime, "runc"))):
        pytest.skip(f"{runtime} is not installed: its containers are NOT captured")
    name = f"observer-{uuid4().hex[:8]}"
    command = [*BEFORE[runtime], runtime, "run", "-d", "--bundle", str(bundle(tmp_path, INSIDE)), name]
    with (tmp_path / "runtime.err").open("w") as errors_to:
        done = subprocess.run(command, stderr=errors_to, check=False, timeout=60, **QUIET)
    if done.returncode:
        pytest.skip(f"{runtime} cannot run here: {(tmp_path / 'runtime.err').read_text()}")
    yield name
    subprocess.run([*BEFORE[runtime], runtime, "delete", "-f", name], check=False, **QUIET)


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[str]:
    """Start a container of podman; yields its name."""
    root_only()
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed: its containers are NOT captured")
    tree, name = root_file_system(tmp_path / "tree"), f"observer-{uuid4().hex[:8]}"
    short = tempfile.mkdtemp(prefix="obs")  # podman refuses longer names of its run directory
    engine = [
        "podman",
        "--root",
        str(tmp_path / "storage"),
        "--runroot",
        f"{short}/run",
        "--storage-driver=vfs",
    ]
    engine += ["--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", "runc"]
    run = [
        *engine,
        "run",
        "-d",
        "--name",
        name,
        "--network=none",
        *LIMITS,
        "--rootfs",
        str(tree),
        "/bin/sh",
        "-c",
        INSIDE,
    ]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"podman cannot run here: {done.stderr.strip()[-300:]}")
    yield done.stdout.strip()  # a store of its own is looked for by id
    subprocess.run([*engine, "rm", "-f", "-t", "0", name], check=False, stderr=subprocess.DEVNULL, **QUIET)
    shutil.rmtree(short, ignore_errors=True)


def create(*words: str) -> dict[str, Any]:
    """Run `observer snapshot create` and return what it says."""
    command = [sys.executable, "-m", "observer", "snapshot", "create", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def check(name: str) -> None:
    """Capture a container by name, twice, and look at what is in it."""
    for _ in range(2):
        taken = create("--container", name)
        file = snapshot.open_snapshot(taken["snapshot_id"])
        assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
        analysis = snapshot.Analysis(file)
        assert len(analysis.processes) >= 2
        first = min(analysis.processes)
        assert b"WORDS" in (file.component("process", "cmdline", pid=first) or b"")
        assert list(analysis.find(b"kept in a container", pid=first))
        assert file.manifest["container_id"]
        assert file.manifest["target"]["container"]
        inode = file.component("namespace", "pid", pid=first)
        assert inode != str(Path("/proc/self/ns/pid").stat().st_ino).encode()
        assert file.component("process", "mountinfo", pid=first)


def test_a_container_is_captured_by_name(container: str) -> None:
    check(container)


def test_a_container_of_podman_is_captured_by_name(podman: str) -> None:
    check(podman)
