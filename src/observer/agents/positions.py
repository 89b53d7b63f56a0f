# SPDX-License-Identifier: Apache-2.0
"""Where each collector got to in its feed, kept over restarts: a small file with two halves written in turn.

A half is written in place and carries a CRC and a counter, so a torn write leaves the other half. The layout is
docs/spec/agent-log.md section 4. Positions are saved after the events they speak of were sealed: a crash repeats, it never skips.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any, Final

__all__ = ["Positions"]

_HALF: Final = 4096
_HEAD: Final = struct.Struct("<II")
_ROOM: Final = _HALF - 4 - _HEAD.size


class Positions:
    """A small map from a collector's key to JSON values; safe to use from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the newer whole half of the file; without a path nothing is kept."""
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {}
        self._counter = 0
        self._dirty = False
        self._handle = -1
        if path is not None:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._load()

    def get(self, key: str) -> Any:
        """Return a value, or None."""
        with self._lock:
            return self._values.get(key)

    def set(self, key: str, value: Any) -> None:
        """Change a value; `save` keeps it. What would not fit any more is left out, oldest key first."""
        with self._lock:
            if self._values.get(key) == value:
                return
            self._values.pop(key, None)
            self._values[key] = value
            self._dirty = True

    def save(self) -> bool:
        """Write what changed in place (it survives `kill -9`); returns whether there was anything to write."""
        with self._lock:
            if not self._dirty or self._handle < 0:
                return False
            text = self._text()
            self._counter += 1
            self._dirty = False
            body = _HEAD.pack(self._counter, len(text)) + text
            half = (zlib.crc32(body).to_bytes(4, "little") + body).ljust(_HALF, b"\0")
            os.pwrite(self._handle, half, self._counter % 2 * _HALF)
            return True

    def sync(self) -> None:
        """Force what was saved to the disk."""
        if self._handle >= 0:
            os.fdatasync(self._handle)

    def close(self) -> None:
        """Save and close; a second call does nothing."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                self.save()
                self.sync()
            os.close(self._handle)
            self._handle = -1

    def _text(self) -> bytes:
        while True:
            text = json.dumps(self._values, separators=(",", ":")).encode()
            if len(text) <= _ROOM or not self._values:
                return text
            self._values.pop(next(iter(self._values)))

    def _load(self) -> None:
        data = os.pread(self._handle, 2 * _HALF, 0)
        for offset in (0, _HALF):
            half = data[offset : offset + _HALF]
            if len(half) < 4 + _HEAD.size:
                continue
            counter, length = _HEAD.unpack_from(half, 4)
            body = half[4 : 4 + _HEAD.size + min(length, _ROOM)]
            if zlib.crc32(body) != int.from_bytes(half[:4], "little") or counter <= self._counter:
                continue
            with contextlib.suppress(ValueError):
                values = json.loads(body[_HEAD.size :])
                if isinstance(values, dict):
                    self._values, self._counter = values, counter
        if len(data) < 2 * _HALF:
            os.pwrite(self._handle, bytes(2 * _HALF - len(data)), len(data))
            os.fsync(self._handle)
