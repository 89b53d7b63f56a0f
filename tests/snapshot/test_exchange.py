# SPDX-License-Identifier: Apache-2.0
"""Files that go from one store to another: whole, for the right reader only, and never with a changed bit."""

from __future__ import annotations

import random
import stat
import struct
from pathlib import Path

import pyrage
import pytest

from observer import snapshot
from observer.errors import (
    ChunkMismatch,
    FormatError,
    IntegrityError,
    KeyUnusable,
    ObserverError,
    TruncatedLog,
)
from tests.snapshot.conftest import Start


@pytest.fixture
def taken(start: Start) -> snapshot.SnapshotFile:
    """Return a snapshot of a small process, without compression."""
    process = start("threads")
    chosen = snapshot.SnapshotOptions(format=snapshot.SnapshotFormat.RAW)
    done = snapshot.Snapshotter(snapshot.process_target(process.pid)).take(chosen)
    return snapshot.open_snapshot(done.snapshot_id)


def test_the_original_usage(start: Start, tmp_path: Path) -> None:
    process = start("threads")
    snapshot_id = snapshot.create_snapshot(
        None, None, snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED, pid=process.pid
    )
    context = snapshot.get_snapshot(snapshot_id)
    assert context.timestamp.year >= 2024
    assert len(context.memory_regions) > 10
    path = snapshot.export_snapshot(
        snapshot_id, tmp_path / "export", snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED
    )
    imported = snapshot.import_snapshot(path)
    analysis = snapshot.restore_for_analysis(imported)
    assert list(analysis.find(b"needle in the heap"))


@pytest.mark.parametrize("kept_as", list(snapshot.SnapshotFormat))
def test_an_export_is_the_same_memory(
    taken: snapshot.SnapshotFile,
    tmp_path: Path,
    home: Path,
    kept_as: snapshot.SnapshotFormat,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = snapshot.export_snapshot(taken.snapshot_id, tmp_path / "out.osnap", kept_as)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {(r.address, r.content_hash) for r in taken.regions()}
    after = snapshot.SnapshotFile(path, snapshot.SnapshotStore().keys())
    assert {(r.address, r.content_hash) for r in after.regions()} == before
    identity = home / "snapshots" / "identity.age"
    if after.encrypted:
        assert stat.S_IMODE(identity.stat().st_mode) == 0o600
        monkeypatch.setenv("OBSERVER_SNAPSHOT_IDENTITY_FILE", str(identity))
    monkeypatch.setenv("OBSERVER_HOME", str(tmp_path / "elsewhere"))
    imported = snapshot.import_snapshot(path)
    assert imported == taken.snapshot_id
    proof = snapshot.verify_snapshot(snapshot.open_snapshot(imported), snapshot.SnapshotStore())
    assert proof.sealed


def test_only_the_right_reader_opens_it(
    taken: snapshot.SnapshotFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    for name, text in (
        ("recipients", mine.to_public()),
        ("mine", mine),
        ("other", other),
        ("words", "a long enough phrase"),
        ("wrong", "another phrase"),
    ):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setenv("OBSERVER_SNAPSHOT_RECIPIENTS_FILE", str(tmp_path / "recipients"))
    path = snapshot.export_snapshot(taken.snapshot_id, tmp_path / "to-one.osnap")
    needle = b"needle in the heap"
    assert needle not in path.read_bytes()
    monkeypatch.setenv("OBSERVER_HOME", str(tmp_path / "elsewhere"))
    for file, match in ((None, "no identity was given"), ("other", "does not open")):
        if file:
            monkeypatch.setenv("OBSERVER_SNAPSHOT_IDENTITY_FILE", str(tmp_path / file))
        with pytest.raises(KeyUnusable, match=match):
            snapshot.open_snapshot(path)
    monkeypatch.setenv("OBSERVER_SNAPSHOT_IDENTITY_FILE", str(tmp_path / "mine"))
    assert list(snapshot.Analysis(snapshot.open_snapshot(path)).find(needle))
    monkeypatch.delenv("OBSERVER_SNAPSHOT_RECIPIENTS_FILE")
    monkeypatch.setenv("OBSERVER_SNAPSHOT_PASSPHRASE_FILE", str(tmp_path / "words"))
    locked = snapshot.export_snapshot(str(path), tmp_path / "with-words.osnap")
    assert list(snapshot.Analysis(snapshot.open_snapshot(locked)).find(needle))
    monkeypatch.setenv("OBSERVER_SNAPSHOT_PASSPHRASE_FILE", str(tmp_path / "wrong"))
    with pytest.raises(KeyUnusable, match="does not open"):
        snapshot.open_snapshot(locked)


@pytest.mark.parametrize("kept_as", list(snapshot.SnapshotFormat))
def test_any_changed_bit_is_found(
    taken: snapshot.SnapshotFile, tmp_path: Path, kept_as: snapshot.SnapshotFormat
) -> None:
    path = snapshot.export_snapshot(taken.snapshot_id, tmp_path / "good.osnap", kept_as)
    whole = path.read_bytes()
    seed = random.randrange(1 << 32)
    chance, named = random.Random(seed), 0
    ends = [*range(96), *range(len(whole) - 64, len(whole))]
    places = [*chance.sample(ends, 24), *(chance.randrange(len(whole)) for _ in range(40))]
    broken = tmp_path / "broken.osnap"
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        broken.write_bytes(changed)
        with pytest.raises(ObserverError) as found:
            snapshot.verify_snapshot(snapshot.SnapshotFile(broken, snapshot.SnapshotStore().keys()))
        assert isinstance(found.value, IntegrityError | FormatError | KeyUnusable), (seed, place)
        damage = found.value.where.get("damage", [])
        named += isinstance(damage, list) and any(item["pages"] for item in damage)
    assert named > 10, f"most of the file is pages, and these are named (seed {seed})"


def test_a_changed_page_is_named_by_region_and_page(taken: snapshot.SnapshotFile, tmp_path: Path) -> None:
    path = snapshot.export_snapshot(taken.snapshot_id, tmp_path / "raw.osnap", snapshot.SnapshotFormat.RAW)
    data = bytearray(path.read_bytes())
    at = data.index(b"needle in the heap")
    _, address = next(snapshot.Analysis(taken).find(b"needle in the heap"))
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ChunkMismatch) as found:
        snapshot.verify_snapshot(snapshot.SnapshotFile(path))
    places = [d for d in found.value.where["damage"] if d["pages"]]
    assert len(places) == 1
    assert places[0]["address"] <= address < places[0]["address"] + places[0]["pages"] * 4096
    assert places[0]["pages"] <= 16


def test_a_cut_off_file_is_told_as_such(taken: snapshot.SnapshotFile, tmp_path: Path) -> None:
    whole = taken.path.read_bytes()
    cut = tmp_path / "cut.osnap"
    for length in (len(whole) - 1, len(whole) - 64, len(whole) // 2, 200):
        cut.write_bytes(whole[:length])
        with pytest.raises(TruncatedLog):
            snapshot.open_snapshot(cut)
    cut.write_bytes(whole[:40])
    with pytest.raises(FormatError):
        snapshot.open_snapshot(cut)


def test_hostile_files_are_refused_before_anything_is_allocated(
    taken: snapshot.SnapshotFile, tmp_path: Path
) -> None:
    whole = taken.path.read_bytes()
    manifest = struct.unpack_from("<Q", whole, len(whole) - 56)[0]
    hostile = tmp_path / "hostile.osnap"
    for place, change in (
        (manifest + 4, b"\xff\xff\xff\xff"),
        (manifest + 8, b"\xff\xff\xff\xff"),
        (manifest, b"\x63"),
        (10, b"\xff"),
    ):
        data = bytearray(whole)
        data[place : place + len(change)] = change
        hostile.write_bytes(data)
        with pytest.raises((FormatError, IntegrityError)):
            snapshot.open_snapshot(hostile)
    for strange in (b"", b"\0" * 4096, b"\x7fELF" * 1000):
        hostile.write_bytes(strange)
        with pytest.raises(FormatError):
            snapshot.open_snapshot(hostile)
    hostile.unlink()
    hostile.mkdir()
    with pytest.raises(ObserverError):
        snapshot.open_snapshot(hostile)
