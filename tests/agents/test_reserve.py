# SPDX-License-Identifier: Apache-2.0
"""What the agent set aside for a full disk goes to its log, not to what filled the disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer.agents.reserve import Reserve

MIB = 1 << 20
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def fill(path: Path) -> int:
    """Write to a file until the disk is full; returns its length."""
    with path.open("ab", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            return stream.tell()


def test_the_log_has_what_is_given_back(disk: Path) -> None:
    log, other = disk / "guest-events.log", disk / "filler"
    log.write_bytes(b"a line\n")
    reserve = Reserve(disk / "guest-events.reserve", MIB)
    os.posix_fallocate(reserve._handle, 0, MIB)  # `fill` leaves so small a disk alone
    before = fill(other)
    assert fill(log) < 8192
    with log.open("r+b") as stream:
        stream.truncate(7)
    assert reserve.release(log)
    assert log.stat().st_size == 7, "its end stays where it is"
    assert fill(other) - before <= 128 << 10, "what fills the disk has little of it"
    assert fill(log) >= 900 << 10
    assert not reserve.release(log), "and then there is none left"
    reserve.close()


def test_a_log_goes_on_in_its_own_blocks_when_the_disk_is_full(disk: Path) -> None:
    log = disk / "guest-events.log"
    log.write_bytes(b"a line\n")
    reserve = Reserve(disk / "guest-events.reserve", MIB)
    for _ in range(3):
        reserve.keep_behind(log)
    assert log.stat().st_size == 7
    assert 4 * MIB <= log.stat().st_blocks * 512 < 5 * MIB, "taken once"
    fill(disk / "filler")
    reserve.keep_behind(log)
    assert fill(log) >= 4 * MIB
    reserve.close()
