# SPDX-License-Identifier: Apache-2.0
"""Real containers of crun, runc and podman, captured by name."""

from __future__ import annotations

import json
import shutil
import struct
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
from tests.snapshot.conftest import PROGRAMS, Start

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


@pytest.fixture
def layered(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Start a container whose root is an overlay and which writes to it; yields its name and the writable layer."""
    root_only()
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed: a container's file system is NOT captured")
    place = bundle(tmp_path, "exec /bin/keeper")
    lower, upper, work = place / "rootfs", tmp_path / "upper", tmp_path / "work"
    program = PROGRAMS / "keeper.c"
    subprocess.run(["gcc", "-O1", "-static", "-o", lower / "bin" / "keeper", program], check=True)
    (lower / "etc" / "removed-later").write_text("of the image")
    for folder in (upper, work, tmp_path / "merged"):
        folder.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mounted = subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", lower], check=False)
    if mounted.returncode:
        pytest.skip("no overlay can be mounted here: a container's file system is NOT captured")
    (lower / "etc" / "removed-later").unlink()
    (lower / "etc" / "written").write_text("by the container")
    (lower / "etc" / "link").symlink_to("written")
    spec = json.loads((place / "config.json").read_text())
    spec["root"]["readonly"] = False
    (place / "config.json").write_text(json.dumps(spec))
    name = f"observer-{uuid4().hex[:8]}"
    done = subprocess.run(
        ["runc", "run", "-d", "--bundle", str(place), name], check=False, timeout=60, **QUIET
    )
    if done.returncode == 0:
        yield name, upper
        subprocess.run(["runc", "delete", "-f", name], check=False, **QUIET)
    subprocess.run(["umount", lower], check=False)
    if done.returncode:
        pytest.skip("runc cannot run here: a container's file system is NOT captured")


def test_files_are_those_of_the_instant_of_the_memory(layered: tuple[str, Path], tmp_path: Path) -> None:
    name, upper = layered
    behind = set()
    for turn in range(8):
        taken = create("--container", name, "--layer")
        file = snapshot.open_snapshot(taken["snapshot_id"])
        assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
        (pid,) = snapshot.Analysis(file).processes
        mark, in_memory = struct.unpack("<16sQ", file.read(pid, 0x100000000, 24))
        assert mark == b"keeps both equal"
        files = {entry.path: entry for entry in snapshot.read_layer(file)}
        (in_file,) = struct.unpack("<Q", b"".join(files["count"].content(file)))
        assert in_memory - in_file in (0, 1), f"files and memory are of two instants (snapshot {turn})"
        behind.add(in_memory)
    assert len(behind) == 8, "it went on between the snapshots"
    assert b"".join(files["etc/written"].content(file)) == b"by the container"
    assert (files["etc/link"].kind, files["etc/removed-later"].kind) == ("link", "removed")
    assert "bin/keeper" not in files, "what the image brought is not of the layer"
    assert set(files) == {str(path.relative_to(upper)) for path in upper.rglob("*")}
    archive = tmp_path / "layer.tar"
    snapshot.write_layer(file, archive)
    listed = subprocess.run(
        ["tar", "-tf", archive], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"etc/written", "etc/link", "etc/.wh.removed-later", "count"} <= set(listed)


def test_a_process_without_a_layer_is_told_so(start: Start) -> None:
    process = start("threads")
    taken = create("--pid", str(process.pid), "--layer")
    if (
        Path("/proc/self/mountinfo").read_text().count(" / / ")
        and "overlay" not in Path("/proc/mounts").read_text()
    ):
        assert any("writable layer" in label for label in taken["method"]["labels"])


def test_a_container_of_podman_is_captured_by_name(podman: str) -> None:
    check(podman)
