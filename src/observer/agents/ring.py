# SPDX-License-Identifier: Apache-2.0
"""The ring file: the newest events once more, in place and mapped, so that no crash and no power cut takes the last minute.

A pre-written file that is overwritten needs no new metadata on the disk, so a sync costs a fraction of one after an append. The
layout is docs/spec/agent-log.md section 4. One writer; readers may read at any time, since every piece carries its own CRC.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from observer.errors import CaptureError, StorageFull
from observer.model.event_record import Clocks

__all__ = ["Beat", "RingContent", "RingFile", "SLOT_BYTES", "read_ring"]

SLOT_BYTES: Final = 1024  # most events fit one; two sectors, whose tearing the CRC finds
_MAGIC: Final = b"OBSRING1"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIII16s")
_HEADER_BYTES: Final = 512
_BEAT: Final = struct.Struct("<4sI16s8sQQQQI")
_BEAT_OFFSETS: Final = (4096, 8192)  # apart by a page, so that one torn page never holds both
_SLOTS_AT: Final = 16384
_SLOT: Final = struct.Struct("<QHHHH")  # after the CRC
_HEAD_BYTES: Final = 4 + _SLOT.size
_PAYLOAD_BYTES: Final = SLOT_BYTES - _HEAD_BYTES
_MAX_SLOTS: Final = 1 << 20
_PIECE: Final = 1 << 20
_CLEAN: Final = 1


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life.

    Attributes:
        boot_id: UUID text of the boot.
        run: 16 hexadecimal digits of the agent's run.
        clocks: When.
        sealed: Number of the last record that was sealed and synced.
        clean: The run ended in order.
    """

    boot_id: str
    run: str
    clocks: Clocks
    sealed: int = 0
    clean: bool = False


@dataclass(frozen=True, slots=True)
class RingContent:
    """What a ring file holds.

    Attributes:
        beat: The last sign of life, or None when none is whole.
        records: Number and bytes of each whole record, oldest first.
        torn: Slots whose CRC does not hold: being written when the machine died, or never written.
        log_id: The log's id, 32 hexadecimal digits.
        next_slot: Where the next record begins.
    """

    beat: Beat | None
    records: tuple[tuple[int, bytes], ...]
    torn: int
    log_id: str
    next_slot: int


class RingFile:
    """A ring file open for writing; not thread-safe, the pipeline holds its lock."""

    def __init__(self, handle: int, slots: int, content: RingContent) -> None:
        self._handle = handle
        self._map = mmap.mmap(handle, _SLOTS_AT + slots * SLOT_BYTES)
        self._slots = slots
        self._slot = content.next_slot
        self._beats = _newest_beat(self._map[:_SLOTS_AT])[1]
        self.number = (
            content.records[-1][0] if content.records else (content.beat.sealed if content.beat else 0)
        )

    @classmethod
    def open(cls, path: Path, *, slots: int, log_id: str) -> Self:
        """Open a ring file, or make it; one of another size or kind is replaced.

        Args:
            path: The file.
            slots: Slots of `SLOT_BYTES`, at least 16.
            log_id: The log's id, 32 hexadecimal digits.

        Raises:
            StorageFull: There is no room to make it. [OBS301]
            CaptureError: It cannot be made. [OBS300]
        """
        try:
            if not _fits(path, slots, log_id):
                _make(path, slots, log_id)
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            return cls(handle, slots, read_ring(path))
        except OSError as error:
            kind = StorageFull if error.errno == 28 else CaptureError
            raise kind(f"cannot make the ring file {path}: {error.strerror}") from error

    def write(self, record: bytes) -> int:
        """Put a record into the mapping and return its number; a longer one than a quarter of the ring is cut."""
        self.number += 1
        record = record[: self._slots // 4 * _PAYLOAD_BYTES]
        parts = max(1, -(-len(record) // _PAYLOAD_BYTES))
        for part in range(parts):
            piece = record[part * _PAYLOAD_BYTES : (part + 1) * _PAYLOAD_BYTES]
            body = _SLOT.pack(self.number, part, parts, len(piece), 0) + piece
            offset = _SLOTS_AT + self._slot % self._slots * SLOT_BYTES
            self._map[offset : offset + 4 + len(body)] = zlib.crc32(body).to_bytes(4, "little") + body
            self._slot += 1
        return self.number

    def beat(self, beat: Beat) -> None:
        """Write a sign of life into the mapping; `sync` brings it to the disk."""
        self._beats += 1
        body = _BEAT.pack(
            b"BEAT",
            self._beats & 0xFFFFFFFF,
            bytes.fromhex(beat.boot_id.replace("-", "")).ljust(16, b"\0")[:16],
            bytes.fromhex(beat.run),
            beat.clocks.wall_ns,
            beat.clocks.monotonic_ns,
            beat.clocks.boottime_ns,
            beat.sealed,
            _CLEAN if beat.clean else 0,
        )
        offset = _BEAT_OFFSETS[self._beats % 2]
        self._map[offset : offset + len(body) + 4] = body + zlib.crc32(body).to_bytes(4, "little")

    def sync(self) -> None:
        """Force everything to the disk; raises OSError when the disk fails."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle >= 0:
            self._map.close()
            os.close(self._handle)
            self._handle = -1


def read_ring(path: Path) -> RingContent:
    """Return what a ring file holds, whatever state a crash left it in; it is not changed.

    Raises:
        OSError: It cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        # Only what is there: a read of so many bytes would first allocate as many.
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(min(size, _SLOTS_AT + _MAX_SLOTS * SLOT_BYTES))
    return _content(data)


def _content(data: bytes) -> RingContent:
    log_id = data[20:36].hex() if data[:8] == _MAGIC else ""
    pieces: dict[int, dict[int, bytes]] = {}
    wanted: dict[int, int] = {}
    newest, torn = (0, 0, -1), 0
    slots = max(0, (len(data) - _SLOTS_AT) // SLOT_BYTES)
    for index in range(slots):
        slot = _slot(data, _SLOTS_AT + index * SLOT_BYTES)
        if slot is None:
            torn += 1
            continue
        number, part, parts, piece = slot
        pieces.setdefault(number, {})[part] = piece
        wanted[number] = parts
        newest = max(newest, (number, part, index))
    records = tuple(
        (number, b"".join(pieces[number][part] for part in range(wanted[number])))
        for number in sorted(pieces)
        if len(pieces[number]) == wanted[number]
    )
    beat, _ = _newest_beat(data[:_SLOTS_AT])
    return RingContent(beat, records, torn, log_id, newest[2] + 1)


def _slot(data: bytes, offset: int) -> tuple[int, int, int, bytes] | None:
    number, part, parts, length, _ = _SLOT.unpack_from(data, offset + 4)
    if not number or length > _PAYLOAD_BYTES or part >= parts:
        return None
    end = offset + _HEAD_BYTES + length
    if zlib.crc32(data[offset + 4 : end]) != int.from_bytes(data[offset : offset + 4], "little"):
        return None
    return number, part, parts, data[offset + _HEAD_BYTES : end]


def _newest_beat(data: bytes) -> tuple[Beat | None, int]:
    found: list[tuple[int, Beat]] = []
    for offset in _BEAT_OFFSETS:
        body = data[offset : offset + _BEAT.size]
        check = data[offset + _BEAT.size : offset + _BEAT.size + 4]
        if body[:4] != b"BEAT" or zlib.crc32(body) != int.from_bytes(check, "little"):
            continue
        _, counter, boot, run, wall, mono, boottime, sealed, flags = _BEAT.unpack(body)
        text = boot.hex()
        boot_id = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        beat = Beat(boot_id, run.hex(), Clocks(wall, mono, boottime), sealed, bool(flags & _CLEAN))
        found.append((counter, beat))
    if not found:
        return None, 0
    counter, beat = max(found, key=lambda one: one[0])
    return beat, counter


def _header(slots: int, log_id: str) -> bytes:
    body = _HEADER.pack(_MAGIC, _VERSION, SLOT_BYTES, slots, bytes.fromhex(log_id).ljust(16, b"\0")[:16])
    return (body + zlib.crc32(body).to_bytes(4, "little")).ljust(_HEADER_BYTES, b"\0")


def _fits(path: Path, slots: int, log_id: str) -> bool:
    try:
        with path.open("rb") as stream:
            right_length = os.fstat(stream.fileno()).st_size == _SLOTS_AT + slots * SLOT_BYTES
            return right_length and stream.read(_HEADER_BYTES) == _header(slots, log_id)
    except FileNotFoundError:
        return False


def _make(path: Path, slots: int, log_id: str) -> None:
    # Written in full, not allocated: an allocated block that was never written costs metadata at its first write.
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        for piece in _blank(slots, log_id):
            view = memoryview(piece)
            while view:
                view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _blank(slots: int, log_id: str) -> Iterator[bytes]:
    yield _header(slots, log_id).ljust(_SLOTS_AT, b"\0")
    left = slots * SLOT_BYTES
    while left:
        yield bytes(min(left, _PIECE))
        left -= min(left, _PIECE)
