# SPDX-License-Identifier: Apache-2.0
"""Files of strangers: bombs, tricks with paths, sizes that cannot be. They are refused or read in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from observer import snapshot
from observer.errors import FormatError, IntegrityError, NotFoundError, ObserverError, UsageError
from tests.snapshot.hostile import ID, PAGE, frame, manifest, offset_of, region, write

MEMORY_MAX = 512 << 20  # a Python that has read a manifest of the largest size that is allowed
SECONDS_MAX = 120  # no answer that takes longer is one; a busy machine is slow

BETWEEN = """import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=2).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def ask(*words: str | Path) -> tuple[int, str]:
    """Run the program and hold its memory to the bound; returns its exit status and what it said."""
    began = time.monotonic()
    command = [sys.executable, "-m", "observer", "snapshot", *map(str, words)]
    # A small process starts it: what a process had at most counts from its parent's size on (getrusage(2), ru_maxrss).
    done = subprocess.run([sys.executable, "-c", BETWEEN, *command], capture_output=True, check=True)
    said, (status, used_kib) = done.stderr.decode(), map(int, done.stdout.split())
    assert used_kib << 10 < MEMORY_MAX, f"{used_kib >> 10} MiB"
    assert time.monotonic() - began < SECONDS_MAX
    assert "Traceback" not in said
    return status, said


BOMBS: dict[str, Callable[[Path], Path]] = {
    "a manifest of spaces": lambda path: write(path, b" " * (64 << 20), compress=True),
    "a manifest beyond the limit": lambda path: write(path, b" " * ((64 << 20) + 1), compress=True),
    "a manifest of brackets": lambda path: write(path, b"[" * (1 << 20), compress=True),
    "regions that overlap": lambda path: write(path, manifest([region(size=2 * PAGE), region(0x401000)])),
    "a size of 2^63": lambda path: write(path, manifest([region(0, 1 << 63)])),
    "an end beyond 2^64": lambda path: write(path, manifest([region((1 << 64) - PAGE, 2 * PAGE)])),
    "a size that is no page": lambda path: write(path, manifest([region(size=100)])),
    "a size that is no number of 64 bits": lambda path: write(path, manifest([region(size=1 << 70)])),
    "a negative size": lambda path: write(path, manifest([region(size=-PAGE)])),
    "a node outside its region": lambda path: write(path, manifest([region(nodes=[[9, 0, 64, "0" * 64]])])),
    "a node of a file that is not listed": lambda path: write(
        path, manifest([region(nodes=[[1, 7, 64, "0" * 64]])])
    ),
    "a component of a petabyte": lambda path: write(
        path,
        manifest(
            components=[{"type": "x", "name": "y", "size_bytes": 1 << 50, "digest": "0" * 64, "frames": [64]}]
        ),
        (frame(3, bytes(1 << 20), compress=True),),
    ),
    "a component of one frame a million times": lambda path: write(
        path,
        manifest(
            components=[
                {
                    "type": "x",
                    "name": "y",
                    "size_bytes": 1 << 38,
                    "digest": "0" * 64,
                    "frames": [64] * (1 << 18),
                }
            ]
        ),
        (frame(3, bytes(1 << 20), compress=True),),
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_what_cannot_be_is_refused_when_it_is_opened(tmp_path: Path, what: str) -> None:
    path = BOMBS[what](tmp_path / "hostile.osnap")
    assert path.stat().st_size < 4 << 20, "a bomb is small"
    with pytest.raises((FormatError, IntegrityError)):
        snapshot.open_snapshot(path)


@pytest.mark.parametrize("what", ["a manifest of spaces", "a component of one frame a million times"])
def test_a_bomb_does_not_take_memory(tmp_path: Path, what: str) -> None:
    status, said = ask("verify", BOMBS[what](tmp_path / "hostile.osnap"))
    assert status in (14, 15), said


def node_of(run: bytes, digests: bytes) -> bytes:
    """Return a node of one run."""
    return b"\1\0\0\0" + run + digests


def stored(count: int, offset: int) -> bytes:
    """Return a run of stored pages from the beginning of a frame."""
    return count.to_bytes(2, "little") + b"\1\0" + bytes(4) + offset.to_bytes(8, "little")


def test_pages_that_unpack_to_more_than_they_say(tmp_path: Path) -> None:
    bomb = frame(1, bytes(1 << 30), pages=16, compress=True, plain=16 * PAGE)
    digest = blake3(bytes(PAGE)).digest()
    node = frame(2, node_of(stored(16, 64), digest * 16))
    frames = (bomb, node)
    told = blake3((b"\1" + digest) * 16).hexdigest()
    facts = region(0x400000, 16 * PAGE, nodes=[[1, 0, offset_of(frames, 1), told]])
    path = write(tmp_path / "hostile.osnap", manifest([facts]), frames)
    status, said = ask("verify", path)
    assert status == 14, said
    assert "0x400000" in said or "400000" in said
    with pytest.raises(IntegrityError):
        snapshot.open_snapshot(path).read(7, 0x400000, PAGE)


def test_a_node_that_claims_more_pages_than_it_has(tmp_path: Path) -> None:
    for node in (
        b"\xff\xff\xff\xff",
        node_of(stored(1024, 64), b""),
        node_of(b"\0\0\1\0" + bytes(12), b""),
        node_of(b"\1\0\x09\0" + bytes(12), b""),
        b"",
    ):
        frames = (frame(1, bytes(PAGE), pages=1), frame(2, node))
        facts = region(nodes=[[1, 0, offset_of(frames, 1), "0" * 64]])
        path = write(tmp_path / "hostile.osnap", manifest([facts]), frames)
        with pytest.raises((FormatError, IntegrityError)):
            snapshot.open_snapshot(path).read(7, 0x400000, PAGE)


def test_a_region_that_reaches_beyond_every_file(tmp_path: Path) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(b"b" * PAGE)
    facts = backing.stat()
    source = {"path": str(backing), "size_bytes": PAGE, "mtime_ns": facts.st_mtime_ns, "inode": facts.st_ino}
    huge = region(0x400000, 1 << 62, unlisted=2, policy="reference", source=0, name=str(backing))
    told = manifest([huge], sources=[source | {"device": facts.st_dev, "build_id": None, "digest": None}])
    path = write(tmp_path / "hostile.osnap", told)
    file = snapshot.open_snapshot(path)
    assert file.read(7, 0x400000, 4) == b"bbbb"
    assert not list(snapshot.Analysis(file).strings())
    with pytest.raises(ObserverError):
        snapshot.Analysis(file).write_core(tmp_path / "core")
    with pytest.raises(UsageError):
        snapshot.Analysis(file).recreate().stop()
    for words in (("strings", path), ("show", path, "--regions"), ("verify", path)):
        ask(*words)


@pytest.mark.parametrize("trick", ["../../../etc/hostname", "/etc/hostname", "..", "a/../../b", "/dev/zero"])
def test_paths_lead_nowhere(tmp_path: Path, trick: str) -> None:
    other = write(tmp_path / "hostile.osnap", manifest(files=[{"file_id": str(ID)}, {"file_id": trick}]))
    with pytest.raises(NotFoundError):
        snapshot.open_snapshot(other)
    source = {
        "path": trick,
        "size_bytes": PAGE,
        "mtime_ns": 0,
        "inode": 0,
        "device": 0,
        "build_id": None,
        "digest": None,
    }
    facts = region(unlisted=2, policy="reference", source=0)
    file = snapshot.open_snapshot(write(tmp_path / "hostile.osnap", manifest([facts], sources=[source])))
    with pytest.raises(IntegrityError):
        file.read(7, 0x400000, PAGE)
    frames = (frame(3, b"content"),)
    component = {"type": "file", "name": trick, "metadata": {"kind": "file"}, "size_bytes": 7, "frames": [64]}
    component["digest"] = blake3(b"content").hexdigest()
    file = snapshot.open_snapshot(write(tmp_path / "hostile.osnap", manifest(components=[component]), frames))
    with pytest.raises(FormatError):
        snapshot.write_layer(file, tmp_path / "layer.tar")


def test_names_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\x1b[2J\u202e\n"
    told = manifest([region(name=name, why=name)], metadata={"a": name}, target={"kind": name, "name": name})
    told["processes"][0] |= {"comm": name, "exe": name}
    path = write(tmp_path / "hostile.osnap", told)
    for words in (("show", path, "--regions", "--threads", "--descriptors"), ("verify", path)):
        _, said = ask(*words)
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\x07" not in said


def test_every_byte_of_a_small_file_is_held(tmp_path: Path) -> None:
    digest = blake3(b"p" * PAGE).digest()
    frames = (frame(1, b"p" * PAGE, pages=1), frame(2, node_of(stored(1, 64), digest)))
    node_digest = blake3(b"\1" + digest).digest()
    head = b"observer-region-1\n" + PAGE.to_bytes(8, "little") + b"\0" + bytes(32) + bytes(8)
    whole = blake3(head + (1).to_bytes(8, "little") + node_digest).hexdigest()
    facts = region(nodes=[[1, 0, offset_of(frames, 1), node_digest.hex()]], digest=whole)
    path = write(tmp_path / "good.osnap", manifest([facts]), frames)
    snapshot.verify_snapshot(snapshot.open_snapshot(path))
    data, broken = path.read_bytes(), tmp_path / "broken.osnap"
    named = 0
    for bit in [*range(128 * 8), *range(128 * 8, len(data) * 8, 127)]:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(changed)
        with pytest.raises(ObserverError) as found:
            snapshot.verify_snapshot(snapshot.open_snapshot(broken))
        damage = found.value.where.get("damage", [])
        if 64 + 24 <= bit // 8 < 64 + 24 + PAGE:
            assert isinstance(damage, list)
            assert any(
                (item["region"], item["address"], item["pages"]) == (0x400000, 0x400000, 1) for item in damage
            )
            named += 1
    assert named > 200
    assert json.dumps(found.value.where, default=str)
