# SPDX-License-Identifier: Apache-2.0
"""docs/spec/recording.md is enough to read a recording: this reader was written from it and shares no code with the core."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import zstandard

from observer import _native
from observer.evidence import LogOptions, SealedLog
from tests.capture import tracing

SEGMENT = struct.Struct("<8sII16s")
CHUNK = struct.Struct("<4sBBBBIIQIIQQ")
# The last structure the kernel filled, by call number: what it is, and its words.
Filled = dict[int, tuple[tuple[int, int, int], list[int]]]
# The last text it read, by call number: of which argument, and its bytes.
Texts = dict[int, tuple[int, bytes]]


class Bytes:
    """A position in a payload."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        assert len(part) == count
        self.at += count
        return part

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)


def words_of(source: Bytes, before: list[int], twins: bool) -> list[int]:
    """Read a structure told by difference (section 4.1)."""
    mask = source.varint()
    alike = source.varint() if twins else 0
    words: list[int] = []
    for i, word in enumerate(before):
        if alike >> i & 1:
            words.append(words[i - 2])
        else:
            words.append((word + source.signed()) % 2**64 if mask >> i & 1 else word)
    return words


def blob(source: Bytes, memory: Bytes, nr: int, filled: Filled, texts: Texts) -> bytes:
    """Read one piece of memory (section 4.1)."""
    head = source.take(1)[0]
    part, length = source.varint(), source.varint()
    what = (head & 31, part, length)
    if head & 32 and head & 8:
        same, before = filled[nr]
        assert same == what
        content = struct.pack(f"<{len(before)}Q", *words_of(source, before, bool(head & 64)))
    elif head & 32:
        argument, text = texts[nr]
        assert argument == head & 7
        shared = source.varint()
        content = text[:shared] + memory.take(length - shared)
    else:
        content = memory.take(length)
    if head & 24 == 8 and length % 8 == 0 and 16 <= length <= 512 and nr < 512:
        filled[nr] = (what, list(struct.unpack(f"<{length // 8}Q", content)))
    if head & 24 == 0 and part == 0 and 8 <= length <= 512 and nr < 512:
        texts[nr] = (head & 7, content)
    return content


def columns(payload: bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Take the columns of a payload apart."""
    whole = Bytes(payload)
    times, facts = whole.varint(), whole.varint()
    return Bytes(whole.take(times)), Bytes(whole.take(facts)), Bytes(payload[whole.at :])


def records(payload: bytes, count: int, base_ns: int) -> Iterator[dict[str, object]]:
    """Decode the rows of one chunk (section 4)."""
    times, source, memory = columns(payload)
    threads, last, now = [], {}, base_ns  # type: ignore[var-annotated]
    filled: Filled = {}
    texts: Texts = {}
    thread = (0, 0)
    for _ in range(count):
        head = source.take(1)[0]
        if not head & 1:
            index = source.varint()
            if index == len(threads):
                threads.append((source.varint(), source.varint()))
            thread = threads[index]
        row: dict[str, object] = {"tid": thread[0], "pid": thread[1]}
        if head & 128:
            now += times.signed()
            row |= {"start_ns": now, "signo": source.varint(), "code": source.signed()}
            row |= {"sender_pid": source.varint(), "sender_uid": source.varint()}
            yield row
            continue
        nr = source.varint()
        now += times.signed()
        row |= {"nr": nr, "start_ns": now, "duration_ns": times.varint()}
        row["flags"] = source.varint() if head & 2 else 0
        size = 0 if head & 8 else source.varint()
        row["result"] = -size if head & 4 else size
        args, mask = list(last.get(nr, [0] * 6)), source.take(1)[0]
        for i in range(6):
            if mask & 1 << i:
                args[i] = (args[i] + source.signed()) % 2**64
        last[nr] = args
        row["memory"] = [
            blob(source, memory, nr, filled, texts) for _ in range(source.varint() if head & 16 else 0)
        ]
        yield row
    assert all(column.at == len(column.data) for column in (times, source, memory))


def read_recording(path: Path) -> list[dict[str, object]]:
    """Read every sealed record of a recording (sections 2, 3 and 6)."""
    events = [json.loads(line)["event"] for line in (path / "sealed.log").read_bytes().splitlines()]
    trace_id = next(e["trace_id"] for e in events if e.get("type") == "trace_start")
    found: list[dict[str, object]] = []
    for line in (e for e in events if e.get("type") == "chunk"):
        segment = (path / "segments" / f"{line['segment']:06}.seg").read_bytes()
        assert SEGMENT.unpack_from(segment) == (b"OBSREC1\n", line["segment"], 0, uuid.UUID(trace_id).bytes)
        chunk = segment[line["offset"] : line["offset"] + line["length"]]
        assert hashlib.sha256(chunk).hexdigest() == line["sha256"]
        magic, version, kind, codec, arch, stored, raw, first, count, reserved, base, last = (
            CHUNK.unpack_from(chunk)
        )
        assert (magic, version, kind, codec, arch, reserved) == (b"OCHK", 1, 7, 1, 1, 0)
        assert (48 + stored, first, count, raw) == (
            line["length"],
            len(found),
            line["records"],
            line["raw_bytes"],
        )
        payload = zstandard.ZstdDecompressor().decompress(chunk[48:], max_output_size=raw)
        rows = list(records(payload, count, base))
        assert max(row["start_ns"] for row in rows) == last  # type: ignore[type-var]
        found += rows
    return found


def test_the_specification_alone_reads_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "rec"
    script = "import os, signal, threading; signal.signal(10, print); os.kill(os.getpid(), 10); "
    script += "[threading.Thread(target=os.listdir, args=('/etc',)).start() for _ in range(5)]; os.system('ls /etc | wc')"
    config = tracing.config([sys.executable, "-c", script], path, tmp_path)
    _native.record_command(json.dumps(config).encode(), None)
    core = _native.RecordingReader(str(path)).calls(b'{"signals":true}', 0, 1 << 40).splitlines()
    theirs = [json.loads(line) for line in core]
    ours = read_recording(path)
    assert len(ours) == len(theirs) > 500
    stats: list[bytes] = []
    for mine, other in zip(ours, theirs, strict=True):
        memory = mine.pop("memory", None)
        assert mine == {key: other[key] for key in mine}
        stats += [m for m in memory or [] if other.get("syscall") == "newfstatat" and len(m) == 144]
    assert any("signo" in row for row in ours)
    here = Path("/etc").stat().st_dev.to_bytes(8, "little")
    assert any(stat.startswith(here) for stat in stats), "no structure came back as the kernel filled it"


def test_a_recording_of_a_newer_format_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "rec"
    path.mkdir()
    start = {"type": "trace_start", "format": 2, "trace_id": str(uuid.uuid4())}
    with SealedLog.create(path / "sealed.log", LogOptions(sidecars=False)) as log:
        log.append(json.dumps(start).encode())
    for verb in ("show", "summary", "verify"):
        argv = [sys.executable, "-m", "observer", verb, str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (15, ""), verb
        assert done.stderr.startswith(
            "observer: error[OBS501]: written by a newer version: recording format 2"
        ), verb
