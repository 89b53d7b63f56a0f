# SPDX-License-Identifier: Apache-2.0
"""Memory given back and taken again, huge pages of both kinds, pages in swap: increments are the process, page by page."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer import snapshot
from tests.snapshot.conftest import Start
from tests.snapshot.test_capture import compare_with_the_process, let_it_wait

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
        assert compare_with_the_process(file.path, process.pid) > 3000
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
