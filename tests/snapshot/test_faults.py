# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: recorders are killed, targets end and change under the eye, disks are full, filters forbid."""

from __future__ import annotations

import itertools
import os
import platform
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from observer import snapshot
from observer.errors import ObserverError
from tests.snapshot.conftest import Start
from tests.snapshot.independent import Reader
from tests.snapshot.test_capture import let_it_wait

KILLS = int(os.environ.get("OBSERVER_SNAPSHOT_KILLS", "12"))


def assert_unharmed(pid: int) -> None:
    """Hold a process to be free: no tracer, not stopped, no memory that is still marked."""
    end = time.monotonic() + 10
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        free = "TracerPid:\t0" in status and not any(f"State:\t{letter}" in status for letter in "tTZ")
        if free and " uw" not in Path(f"/proc/{pid}/smaps").read_text():
            return
        assert time.monotonic() < end, status
        time.sleep(0.02)


def test_a_recorder_that_is_killed_leaves_no_trace(start: Start, home: Path) -> None:
    process = start("ledger")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(KILLS):
        command = [
            sys.executable,
            "-m",
            "observer",
            "snapshot",
            "schedule",
            "--pid",
            str(process.pid),
            "--every",
            "1ms",
            "--format",
            "raw",
        ]
        recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 1.2))
        recorder.kill()
        recorder.communicate()
        assert process.poll() is None, seed
        assert_unharmed(process.pid)
    for path in (home / "snapshots").glob("*.osnap"):
        snapshot.SnapshotFile(path)  # whole, or it would not have this name


def test_a_target_that_changes_without_end_is_captured_each_time(start: Start) -> None:
    process = start("restless")
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    for _ in range(12):
        taken = snapshotter.take()
        snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
        assert process.poll() is None
    del snapshotter
    assert_unharmed(process.pid)


@pytest.mark.parametrize("tracking", ["auto", "stop"])
def test_a_target_that_executes_another_program_is_captured_anew(start: Start, tracking: str) -> None:
    process = start("turncoat", "wait")
    assert process.stdin is not None
    assert process.stdout is not None
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    options = snapshot.SnapshotOptions(tracking=tracking)
    for _ in range(4):
        let_it_wait(process.pid)
        file = snapshot.open_snapshot(snapshotter.take(options).snapshot_id)
        let_it_wait(process.pid)
        assert Reader(file.path).compare_with(process.pid) > 64
        snapshot.verify_snapshot(file, snapshot.SnapshotStore())
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"


def test_a_target_that_executes_itself_without_end_is_never_half_of_two(start: Start) -> None:
    process = start("turncoat", "on")
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    lives = set()
    for _ in range(12):
        taken = snapshotter.take(snapshot.SnapshotOptions(format=snapshot.SnapshotFormat.RAW))
        analysis = snapshot.Analysis(snapshot.open_snapshot(taken.snapshot_id))
        writable = [r for r in analysis.maps() if "/turncoat" in (r.name or "") and r.permissions.write]
        for region in writable:
            pages = [set(analysis.read(region.address + at, 4096)) for at in range(0, region.size, 4096)]
            whole = [next(iter(page)) for page in pages if len(page) == 1 and 0 not in page]
            falls = [pair for pair in itertools.pairwise(whole) if pair[0] != pair[1]]
            assert len(falls) <= 1, f"memory of several lives: {whole}"  # one, while it is being filled
            lives.update(whole)
        assert process.poll() is None
    del snapshotter
    assert len(lives) > 1
    assert_unharmed(process.pid)


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_a_target_that_ends_meanwhile_is_an_error_or_a_whole_snapshot(
    start: Start, home: Path, how: str
) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(6):
        if how == "killed":
            process = start("ledger")
            end = process.kill
        else:
            process = start("", command=[sys.executable, "-c", "print('ready', flush=True); input()"])
            assert process.stdin is not None
            end = process.stdin.close
        timer = threading.Timer(chance.uniform(0, 0.15), end)
        timer.start()
        try:
            taken = snapshot.Snapshotter(snapshot.process_target(process.pid)).take()
            snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
        except ObserverError as error:
            assert error.exit_code in (12, 17), (seed, error)
        timer.join()
        assert not list((home / "snapshots").glob("*.part")), seed


def test_a_full_disk_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root: a full disk is NOT tested")
    process = start("threads")
    place = tmp_path / "small"
    place.mkdir()
    script = (
        f"mount -t tmpfs -o size=1m small {place} && export OBSERVER_HOME={place} && "
        f"{sys.executable} -m observer snapshot create --pid {process.pid} --format raw; "
        f"status=$?; ls {place}/snapshots; exit $status"
    )
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 13, result.stderr
    assert "OBS301" in result.stderr
    assert ".osnap" not in result.stdout
    assert_unharmed(process.pid)


def test_a_fork_leaves_no_child_behind(start: Start) -> None:
    process = start("threads")
    let_it_wait(process.pid)
    taken = snapshot.Snapshotter(snapshot.process_target(process.pid)).take(
        snapshot.SnapshotOptions(tracking="fork")
    )
    if platform.machine() == "x86_64":
        assert (taken.method["tracking"], taken.method["labels"]) == ("fork", [])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    assert not children, "the copy is still there, or was not taken off its parent's hands"
    analysis = snapshot.Analysis(snapshot.open_snapshot(taken.snapshot_id))
    for text in (b"needle in the heap", b"written to the memfd", b"shared without a file", b"alone again"):
        assert list(analysis.find(text)), text
    assert_unharmed(process.pid)
    let_it_wait(process.pid)


def test_a_fork_needs_room_for_a_copy(start: Start) -> None:
    group = Path(f"/sys/fs/cgroup/memory/observer-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(16 << 20))
    except OSError:
        pytest.skip("no memory cgroup can be made here: a fork without room is NOT tested")
    try:
        process = start("given")  # what it has, 25 MiB and more, stays charged to where it was made
        (group / "cgroup.procs").write_text(str(process.pid))
        let_it_wait(process.pid)
        taken = snapshot.Snapshotter(snapshot.process_target(process.pid)).take(
            snapshot.SnapshotOptions(tracking="fork")
        )
        assert taken.method["tracking"] == "stop"
        assert any("MiB are free" in label for label in taken.method["labels"])
        process.kill()
        process.wait()
    finally:
        group.rmdir()


def test_a_filter_that_kills_is_not_woken(start: Start) -> None:
    process = start("filtered")
    taken = snapshot.Snapshotter(snapshot.process_target(process.pid)).take()
    assert process.poll() is None, "the target's own filter has killed it"
    if taken.method["tracking"] == "stop":
        assert any("seccomp" in label or "PAGEMAP_SCAN" in label for label in taken.method["labels"])
    snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
    assert process.stdin is not None
    process.stdin.write(b"x")
    process.stdin.close()
    assert process.wait(timeout=20) == 0
