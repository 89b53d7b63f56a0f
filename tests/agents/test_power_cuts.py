# SPDX-License-Identifier: Apache-2.0
"""Power cuts under the agent's own writer: a real ext4 on a disk that drops, reorders and tears what was not flushed.

`cutfs` writes down every write and flush of the disk; each cut is a state that such a disk may be left in. What the writer was
promised before the cut must be there after it, and the log must open again. A writer that does not sync must be caught.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from observer.agents.log_store import LogStore
from observer.agents.reserve import Reserve
from observer.agents.ring import read_ring
from observer.agents.settings import load_settings
from observer.evidence import read_log, verify_log

HERE = Path(__file__).with_name("cutfs")
CUTS = int(os.environ.get("OBSERVER_AGENT_CUTS", "100"))
SEED = int(os.environ.get("OBSERVER_SEED", str(random.SystemRandom().randrange(10**6))))
SECTOR = 512
DISK_MIB = 24
WRITE_S = 4.0


def why_not() -> str:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs root and /dev/fuse"
    if (
        not Path("/usr/include/fuse3/fuse.h").exists()
        or shutil.which("gcc") is None
        or shutil.which("mke2fs") is None
    ):
        return "needs gcc, libfuse3-dev and mke2fs"
    return "" if Path("/dev/loop-control").exists() else "needs loop devices"


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@dataclass(frozen=True)
class Entry:
    """One line of the disk's history: a write, a flush or a mark."""

    kind: str
    offset: int
    data: bytes


def run(*words: str | Path) -> None:
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{words}: {result.stderr}"


@pytest.fixture(scope="module")
def cutfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("cutfs") / "cutfs"
    flags = subprocess.run(
        ["pkg-config", "fuse3", "--cflags", "--libs"], capture_output=True, text=True, check=True
    ).stdout.split()
    run("gcc", "-O1", "-Wall", "-Werror", HERE / "cutfs.c", "-o", program, *flags)
    return program


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        run("umount", place)


def history(cutfs: Path, place: Path, kind: str) -> tuple[bytes, list[Entry]]:
    """Run the writer on the disk; returns the disk as it was before, and all that was done to it."""
    image, log, fuse = place / "image", place / "history", place / "fuse"
    fuse.mkdir()
    run("mke2fs", "-q", "-t", "ext4", image, f"{DISK_MIB}M")
    before = image.read_bytes()
    disk = subprocess.Popen([cutfs, image, log, fuse])
    try:
        while not (fuse / "disk").exists():
            time.sleep(0.02)
        with mounted(fuse / "disk", place / "mnt") as root:
            environ = {**os.environ, "OBSERVER_SEED": str(SEED)}
            words = [
                sys.executable,
                str(HERE / "writer.py"),
                str(root),
                str(fuse / "mark"),
                str(WRITE_S),
                kind,
            ]
            subprocess.run(words, check=True, env=environ, timeout=120)
    finally:
        subprocess.run(["umount", str(fuse)], check=False)
        disk.wait(20)
    return before, list(entries(log.read_bytes()))


def entries(data: bytes) -> Iterator[Entry]:
    head, position = struct.Struct("<cQI"), 0
    while position < len(data):
        kind, offset, length = head.unpack_from(data, position)
        position += head.size
        yield Entry(kind.decode(), offset, data[position : position + length])
        position += length


def cut_states(before: bytes, past: list[Entry], cuts: int) -> Iterator[tuple[bytes, dict[str, int]]]:
    """Yield disks that a cut may leave, and what had been promised by then."""
    generator = random.Random(SEED)
    firsts = [number for number, one in enumerate(past) if one.kind == "M"]
    places = sorted(generator.randrange(firsts[0], len(past)) for _ in range(cuts))
    durable, loose, promised, done = bytearray(before), [], {"log": 0, "ring": 0}, 0
    for place in places:
        for one in past[done:place]:
            if one.kind == "W":
                loose.append(one)
            elif one.kind == "F":
                for write in loose:
                    durable[write.offset : write.offset + len(write.data)] = write.data
                loose = []
            else:
                name, number = one.data.split()
                promised[name.decode()] = max(promised[name.decode()], int(number))
        done = place
        state = bytearray(durable)
        for write in generator.sample(loose, len(loose)):
            for offset, piece in pieces(write, generator):
                state[offset : offset + len(piece)] = piece
        yield bytes(state), dict(promised)


def pieces(write: Entry, generator: random.Random) -> Iterator[tuple[int, bytes]]:
    """What of an unflushed write reaches the disk: all, nothing, or some of its sectors."""
    choice = generator.randrange(3)
    for at in range(0, len(write.data), SECTOR):
        if choice == 0 or (choice == 1 and generator.random() < 0.5):
            yield write.offset + at, write.data[at : at + SECTOR]


def lost(root: Path, promised: dict[str, int]) -> list[str]:
    """Return which promises do not hold on a disk."""
    log = root / "guest-events.log"
    numbers = re.compile(rb'"message":"record (\d+) ')
    sealed = {int(match[1]) for line in read_log(log) if (match := numbers.search(line.event))}
    ring = {
        int(match[1])
        for _, data in read_ring(root / "guest-events.ring").records
        if (match := numbers.search(data))
    }
    broken = [f"log {number}" for number in range(1, promised["log"] + 1) if number not in sealed]
    broken += [f"ring {number}" for number in range(1, promised["ring"] + 1) if number not in sealed | ring]
    if not broken:
        # What the agent's next start does: repair a torn tail, refuse a log that was changed.
        store = LogStore(log, root, load_settings()["log"])
        store.open_with(Reserve(root / "guest-events.reserve", 0)).close()
        assert not (root / "refused").exists(), "the log verifies"
        verify_log(log)
    return broken


def broken_promises(cutfs: Path, place: Path, kind: str, cuts: int) -> tuple[int, int]:
    """Return cuts that broke a promise, and the records promised by the last one."""
    before, past = history(cutfs, place, kind)
    image, bad, last = place / "state", 0, 0
    for state, promised in cut_states(before, past, cuts):
        image.write_bytes(state)
        with mounted(image, place / "after") as root:
            try:
                broken = lost(root, promised)
            except Exception as error:  # an honest writer's log always opens
                if kind == "honest":
                    raise AssertionError(f"seed {SEED}, promised {promised}") from error
                broken = [str(error)]
        bad += bool(broken)
        last = max(last, promised["log"])
        assert kind != "honest" or not broken, f"seed {SEED}: {broken[:5]} of {promised}"
    return bad, last


def test_no_cut_takes_what_was_promised(cutfs: Path, tmp_path: Path) -> None:
    bad, promised = broken_promises(cutfs, tmp_path, "honest", CUTS)
    print(f"seed {SEED}: {CUTS} cuts, {promised} records promised, {bad} lost")
    assert bad == 0
    assert promised > 50


def test_a_writer_that_does_not_sync_is_caught(cutfs: Path, tmp_path: Path) -> None:
    cuts = 16
    bad, _ = broken_promises(cutfs, tmp_path, "lying", cuts)
    print(f"seed {SEED}: {bad} of {cuts} cuts caught the lie")
    assert bad >= cuts // 4, "most cuts fall where something had been promised and not written"
