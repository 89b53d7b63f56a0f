# SPDX-License-Identifier: Apache-2.0
"""The little of inotify that the crash watcher needs; Python has none. Source: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final

__all__ = ["CLOSED", "CREATED", "GONE", "Inotify"]

CREATED: Final = 0x100
CLOSED: Final = 0x8 | 0x80  # closed after writing, or moved here
GONE: Final = 0x400 | 0x800 | 0x2000 | 0x8000  # deleted or moved itself, unmounted, watch ended
OVERFLOW: Final = 0x4000
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT: Final = struct.Struct("iIII")


class Inotify:
    """One inotify instance."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.handle = self._libc.inotify_init1(_FLAGS)
        if self.handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def add(self, path: str | os.PathLike[str]) -> int:
        """Watch a directory for files that appear, are closed, or for its own end; returns the watch's number."""
        mask = CREATED | CLOSED | 0x400 | 0x800 | 0x01000000  # only a directory
        number: int = self._libc.inotify_add_watch(self.handle, os.fsencode(path), ctypes.c_uint32(mask))
        if number < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(path))
        return number

    def read(self) -> Iterator[tuple[int, int, str]]:
        """Yield watch, mask and name of each event at hand; mask has OVERFLOW and watch is -1 when some were lost."""
        try:
            data = os.read(self.handle, 1 << 16)
        except BlockingIOError:
            return
        position = 0
        while position + _EVENT.size <= len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            name = data[position : position + length].split(b"\0", 1)[0]
            position += length
            yield watch, mask, os.fsdecode(name)

    def close(self) -> None:
        """Close the instance; a second call does nothing."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)
