# SPDX-License-Identifier: Apache-2.0
"""Writes snapshot files from the specification alone, with checksums that hold and content that must not be trusted."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any
from uuid import UUID

import zstandard
from blake3 import blake3

PAGE = 4096
ID = UUID("00000000-0000-4000-8000-000000000001")
Frame = tuple[int, int, int, bytes, int]  # kind, codec, pages, stored, plain length


def frame(
    kind: int, content: bytes, *, pages: int = 0, compress: bool = False, plain: int | None = None
) -> Frame:
    """Return a frame; `plain` is the length that its head claims."""
    stored = zstandard.ZstdCompressor().compress(content) if compress else content
    return kind, int(compress), pages, stored, len(content) if plain is None else plain


def region(start: int = 0x400000, size: int = PAGE, **facts: Any) -> dict[str, Any]:
    """Return a region as a manifest lists it."""
    own = {"start": start, "size": size, "permissions": "rw-p", "offset": 0, "name": "", "policy": "copied"}
    return own | {"unlisted": 0, "digest": "0" * 64, "nodes": []} | facts


def manifest(regions: list[dict[str, Any]] | None = None, **facts: Any) -> dict[str, Any]:
    """Return a manifest of one process."""
    process = {"pid": 7, "ppid": 1, "comm": "x", "exe": "", "threads": [7], "regions": regions or []}
    own: dict[str, Any] = {
        "schema": "observer.snapshot/1",
        "snapshot_id": str(ID),
        "wall_ns": 1,
        "boot_ns": 1,
    }
    own |= {
        "container_id": None,
        "plugin_id": None,
        "boot_id": "",
        "target": {},
        "method": {},
        "metadata": {},
    }
    own |= {"files": [{"file_id": str(ID), "key": None}], "sources": [], "components": [], "totals": {}}
    return own | {"processes": [process]} | facts


def write(
    path: Path, told: dict[str, Any] | bytes, frames: tuple[Frame, ...] = (), *, compress: bool = False
) -> Path:
    """Write a file: its frames, then a manifest, given as a value or as bytes."""
    flags = 1  # compressed: then a frame may be or not
    header = struct.pack("<8sHHI16sI28x", b"OBSNAP\x01\n", 1, flags, 0, ID.bytes, 0)
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    out = bytearray(header)
    every = (*frames, frame(4, text, compress=compress))
    for number, (kind, codec, pages, stored, plain) in enumerate(every, 1):
        last = len(out)
        head = struct.pack("<BBHIIIQ", kind, codec, pages, len(stored), plain, 0, number)
        check = zlib.crc32(stored, zlib.crc32(head))
        out += head[:12] + struct.pack("<I", check) + head[16:] + stored
    trailer = struct.pack("<8sQQQ", b"OBSNEND\n", last, 0, len(out) + 64)
    out += trailer + blake3(header + trailer).digest()
    path.write_bytes(out)
    return path


def offset_of(frames: tuple[Frame, ...], index: int) -> int:
    """Return where a frame lies in the file that `write` makes of them."""
    return 64 + sum(24 + len(stored) for _, _, _, stored, _ in frames[:index])
