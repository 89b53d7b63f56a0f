# SPDX-License-Identifier: Apache-2.0
"""The ring file and the positions: what was written is read back, whatever piece is torn; docs/spec/agent-log.md section 4."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.agents.last_minute import examine_previous_run
from observer.agents.positions import Positions
from observer.agents.ring import SLOT_BYTES, Beat, RingFile, read_ring
from observer.errors import CaptureError
from observer.evidence import SealedLog
from observer.model.event_record import Clocks

LOG_ID = "a6459f33284dc691a213b6e4d3b090cc"
BEAT = Beat(
    "4fe05be0-f918-4c91-865f-3ffa1450bd07", "9f2c51ab0d77e346", Clocks(3, 2, 1), sealed=4, clean=False
)


def filled(path: Path, records: list[bytes], slots: int = 16) -> None:
    ring = RingFile.open(path, slots=slots, log_id=LOG_ID)
    for record in records:
        ring.write(record)
    ring.close()


@given(st.lists(st.binary(max_size=3000), max_size=40), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_the_newest_records_are_read_back_over_reopening(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("ring") / "r"
    at = len(records) * cut // 3
    filled(path, records[:at])
    filled(path, records[at:])
    found = read_ring(path).records
    assert [number for number, _ in found] == list(range(len(records) - len(found) + 1, len(records) + 1))
    assert [data for _, data in found] == records[len(records) - len(found) :]
    assert len(found) >= min(len(records), 16 // 3), "no fewer than fit"


@pytest.mark.parametrize(("in_log", "lost"), [(4, 16), (20, 16), (21, 0), (30, 0)])
def test_what_neither_log_nor_ring_file_holds_is_counted(tmp_path: Path, in_log: int, lost: int) -> None:
    text = (
        '{"timestamp":"2026-11-27T22:46:58.099067Z","sequence":%d,"source":"resource.monitor","category":"Resource",'
        '"severity":"Info","message":"Resource utilization","attributes":[],"schema":"observer.event/1",'
        '"type":"resource.sample","run":"33f5af41e1b84221",'
        '"collector":{"wall_ns":1795819618099067409,"monotonic_ns":8906950089692,"boottime_ns":8906950089864}}'
    )
    records = [(text % number).encode() for number in range(1, 37)]
    ring = RingFile.open(tmp_path / "r", slots=16, log_id=LOG_ID)
    for record in records:
        ring.write(record)
    ring.beat(BEAT)  # 4 are known to be on the disk
    ring.close()
    with SealedLog.create(tmp_path / "log", durability="buffered") as log:
        for record in records[:in_log]:
            log.append(record)
    found = examine_previous_run(tmp_path / "r", tmp_path / "log", "another boot")
    assert found.kind == "machine_died"
    assert found.missing == tuple(records[max(20, in_log) :])
    assert found.overwritten == lost


def test_layout_is_the_specifications(tmp_path: Path) -> None:
    """Reads the file by the page alone."""
    path = tmp_path / "r"
    ring = RingFile.open(path, slots=16, log_id=LOG_ID)
    ring.write(b"x" * 1500)
    ring.beat(BEAT)
    ring.close()
    data = path.read_bytes()
    assert len(data) == 16384 + 16 * 1024
    assert struct.unpack_from("<8sIII16s", data) == (b"OBSRING1", 1, 1024, 16, bytes.fromhex(LOG_ID))
    assert zlib.crc32(data[:36]) == int.from_bytes(data[36:40], "little")
    magic, counter, boot, run, wall, mono, boottime, sealed, flags = struct.unpack_from(
        "<4sI16s8sQQQQI", data, 8192
    )
    assert (magic, counter, wall, mono, boottime, sealed, flags) == (b"BEAT", 1, 3, 2, 1, 4, 0)
    assert (boot.hex(), run.hex()) == (BEAT.boot_id.replace("-", ""), BEAT.run)
    for part, length in ((0, 1004), (1, 496)):
        at = 16384 + part * 1024
        crc, number, index, parts, size, zero = struct.unpack_from("<IQHHHH", data, at)
        assert (number, index, parts, size, zero) == (1, part, 2, length, 0)
        assert crc == zlib.crc32(data[at + 4 : at + 20 + size])


def test_any_torn_sector_takes_only_its_own_record(tmp_path: Path) -> None:
    path = tmp_path / "r"
    records = [b"%d " % number * 200 for number in range(12)]
    filled(path, records)
    whole = path.read_bytes()
    generator = random.Random(1)
    for sector in range(16384 // 512, len(whole) // 512):
        torn = bytearray(whole)
        torn[sector * 512 : sector * 512 + 512] = generator.randbytes(512)
        path.write_bytes(torn)
        found = dict(read_ring(path).records)
        assert all(records[number - 1] == data for number, data in found.items())
        assert len(found) >= len(records) - 1


def test_a_torn_beat_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "r"
    ring = RingFile.open(path, slots=16, log_id=LOG_ID)
    for wall in (1, 2):
        ring.beat(Beat(BEAT.boot_id, BEAT.run, Clocks(wall, 0, 0)))
    ring.close()
    data = bytearray(path.read_bytes())
    data[4096 + 20] ^= 1
    path.write_bytes(data)
    beat = read_ring(path).beat
    assert beat is not None
    assert beat.clocks.wall_ns == 1
    again = RingFile.open(path, slots=16, log_id=LOG_ID)
    again.beat(Beat(BEAT.boot_id, BEAT.run, Clocks(9, 0, 0), clean=True))
    again.close()
    beat = read_ring(path).beat
    assert beat is not None
    assert (beat.clocks.wall_ns, beat.clean) == (9, True)


@given(st.binary(max_size=20_000))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_read_without_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("ring") / "r"
    path.write_bytes(data)
    read_ring(path)
    RingFile.open(path, slots=16, log_id=LOG_ID).close()
    assert read_ring(path).log_id == LOG_ID


def test_another_log_or_size_makes_it_new(tmp_path: Path) -> None:
    path = tmp_path / "r"
    filled(path, [b"one"])
    RingFile.open(path, slots=32, log_id=LOG_ID).close()
    assert read_ring(path).records == ()
    assert path.stat().st_size == 16384 + 32 * SLOT_BYTES
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").symlink_to(tmp_path / "target")
    (tmp_path / "r.new").symlink_to(tmp_path / "target")
    with pytest.raises(CaptureError):
        RingFile.open(tmp_path / "r", slots=16, log_id=LOG_ID)
    assert not (tmp_path / "target").exists()


def test_positions_survive_a_torn_half(tmp_path: Path) -> None:
    path = tmp_path / "p"
    positions = Positions(path)
    for number in range(3):
        positions.set("journal", f"cursor {number}")
        assert positions.save()
    assert not positions.save(), "nothing changed"
    positions.close()
    assert Positions(path).get("journal") == "cursor 2"
    data = bytearray(path.read_bytes())
    for half, expected in ((4096, "cursor 1"), (0, "cursor 2")):
        torn = bytearray(data)
        torn[half : half + 600] = bytes(600)
        path.write_bytes(torn)
        assert Positions(path).get("journal") == expected
    path.write_bytes(b"\xff" * 8192)
    assert Positions(path).get("journal") is None


def test_positions_that_do_not_fit_leave_the_oldest_out(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "p")
    for number in range(10):
        positions.set(f"key {number}", "x" * 800)
    positions.save()
    again = Positions(tmp_path / "p")
    assert again.get("key 9")
    assert again.get("key 0") is None


def test_reading_takes_no_more_memory_than_the_file(tmp_path: Path) -> None:
    filled(tmp_path / "r", [b"one"])
    tracemalloc.start()
    read_ring(tmp_path / "r")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20, "it must start on a machine of 512 MiB"
