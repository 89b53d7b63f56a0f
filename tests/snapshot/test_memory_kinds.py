# SPDX-License-Identifier: Apache-2.0
"""Memory given back and taken again, huge pages of both kinds, pages in swap, what is no memory: increments are the process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from observer import snapshot
from observer.errors import ChunkMismatch
from tests.snapshot.conftest import Start
from tests.snapshot.independent import PAGE, Reader
from tests.snapshot.test_capture import let_it_wait
from tests.snapshot.test_faults import assert_unharmed

STEPS = 5


def follow(process: subprocess.Popen[bytes], tracking: str = "auto") -> snapshot.SnapshotFile:
    """Take an increment after each step and compare all of it with the standing process; returns the last."""
    assert process.stdin is not None
    assert process.stdout is not None
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    options = snapshot.SnapshotOptions(tracking=tracking)
    for _ in range(STEPS):
        let_it_wait(process.pid)
        taken = snapshotter.take(options)
        let_it_wait(process.pid)
        file = snapshot.open_snapshot(taken.snapshot_id)
        assert Reader(file.path).compare_with(process.pid) > 3000
        assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"done\n"
    return file


@pytest.mark.parametrize("tracking", ["auto", "fork", "stop"])
def test_what_is_given_back_and_taken_again(start: Start, tracking: str) -> None:
    file = follow(start("given"), tracking)
    assert list(snapshot.Analysis(file).find(b"another page of the reserve"))
    assert not list(snapshot.Analysis(file).find(b"the only page of the reserve\0\0\0"))


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Let the kernel keep a few huge pages."""
    place = Path("/proc/sys/vm/nr_hugepages")
    if os.geteuid() != 0:
        pytest.skip("reserving huge pages needs root: memory in them is NOT captured")
    before = place.read_text()
    try:
        place.write_text(str(int(before) + 8))
    except OSError:
        pytest.skip("the kernel reserves no huge pages: memory in them is NOT captured")
    yield
    place.write_text(before)


@pytest.mark.usefixtures("huge_pages")
def test_reserved_huge_pages(start: Start) -> None:
    try:
        process = start("given", "hugetlb")
    except AssertionError:
        pytest.skip("the kernel gave no huge pages: memory in them is NOT captured")
    follow(process)


@pytest.fixture
def swap(tmp_path: Path) -> Iterator[None]:
    """Add a small swap file."""
    if os.geteuid() != 0:
        pytest.skip("adding swap needs root: pages in swap are NOT captured")
    file = tmp_path / "swap"
    with file.open("wb") as out:
        out.write(bytes(64 << 20))
    file.chmod(0o600)
    subprocess.run(["mkswap", file], check=True, capture_output=True)
    if subprocess.run(["swapon", file], check=False, capture_output=True).returncode:
        pytest.skip("no swap can be added here: pages in swap are NOT captured")
    yield
    subprocess.run(["swapoff", file], check=True)


@pytest.mark.usefixtures("swap")
def test_pages_in_swap(start: Start) -> None:
    process = start("given", "swap")
    swapped = Path(f"/proc/{process.pid}/status").read_text().partition("VmSwap:")[2].split()[0]
    assert int(swapped) > 4096, "the program did not get its pages into swap"
    follow(process)


@pytest.mark.parametrize("tracking", ["auto", "fork", "stop"])
def test_what_is_not_simply_memory_is_told_and_does_no_harm(
    build: Callable[[str], Path], tracking: str
) -> None:
    with subprocess.Popen([build("odd")], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, *words = process.stdout.readline().split()
            assert ready == "ready"
            guarded, guard, cut, secret, zero, uring, perf = (0 if w == "(nil)" else int(w, 0) for w in words)
            let_it_wait(process.pid)
            snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
            for _ in range(2):  # the second time its pages are marked
                taken = snapshotter.take(snapshot.SnapshotOptions(tracking=tracking))
            file = snapshot.open_snapshot(taken.snapshot_id)
            assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
            assert Reader(file.path).compare_with(process.pid) > 64
            assert file.read(process.pid, guarded + 9 * PAGE, PAGE) == b"g" * PAGE
            assert file.read(process.pid, guarded + 11 * PAGE, PAGE) == b"g" * PAGE
            if guard:
                with pytest.raises(ChunkMismatch, match="not captured"):
                    file.read(process.pid, guarded + 10 * PAGE, PAGE)
            assert file.read(process.pid, cut, PAGE) == b"c" * PAGE
            assert file.read(process.pid, secret, 4 * PAGE) == b"p" * 4 * PAGE, "read like a debugger does"
            if zero:
                assert file.read(process.pid, zero + PAGE, 1) == b"z"
            listed = {region.address for region in file.regions()}
            assert {address for address in (uring, perf) if address} <= listed
            special = {region.name: region.policy for region in file.regions()}
            assert special.get("[vsyscall]", "excluded") == "excluded"
            del snapshotter
            assert process.poll() is None
            assert_unharmed(process.pid)
        finally:
            process.kill()
