# SPDX-License-Identifier: Apache-2.0
"""Disk space set aside while there is some, given back piece by piece when the disk is full and the log must go on."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

from observer import clock

__all__ = ["Reserve"]

_STEP: Final = 1 << 20
_REFILL_EVERY_NS: Final = 60_000_000_000
_SPARE: Final = 4  # refilled only where so many times the reserve is free: it must not fill the disk itself

_SIDECARS: Final = 1 << 16  # left free for the small files beside a log
_BEHIND: Final = 4 << 20  # blocks that a log has behind its end
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h


def _allocate_behind(path: Path, size: int) -> None:
    """Give a file blocks behind its end, which stays where it is; else it is anybody's. Source: fallocate(2)."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            end = os.fstat(handle).st_size
            ctypes.CDLL(None).fallocate(handle, _KEEP_SIZE, ctypes.c_int64(end), ctypes.c_int64(size))
        finally:
            os.close(handle)


class Reserve:
    """A file of allocated blocks that nobody reads."""

    def __init__(self, path: Path, size: int) -> None:
        """Open or make the file; `fill` takes the space."""
        self._path, self._size = path, size
        self._looked_ns = 0
        self._handle = -1
        if size:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    @property
    def held(self) -> int:
        """Bytes set aside now."""
        return os.fstat(self._handle).st_size if self._handle >= 0 else 0

    def fill(self) -> None:
        """Take the space, where the disk has room; what cannot be had is not."""
        if self._handle < 0 or self.held >= self._size:
            return
        with contextlib.suppress(OSError):
            facts = os.fstatvfs(self._handle)
            if facts.f_bavail * facts.f_frsize > _SPARE * self._size:
                os.posix_fallocate(self._handle, 0, self._size)

    def release(self, heir: Path | None = None) -> bool:
        """Give 1 MiB back to the disk; returns False when nothing is left.

        Args:
            heir: A file that is written at its end and takes the space at once: what filled the disk is often still at it, and
                would have the space before the next line is written.
        """
        held = self.held
        if not held:
            return False
        os.ftruncate(self._handle, max(0, held - _STEP))
        if heir is not None:
            _allocate_behind(heir, min(held, _STEP) - _SIDECARS)
        self._looked_ns = clock.boot_ns()
        return True

    def keep_behind(self, log: Path) -> None:
        """Give a log blocks behind its end while there are some to be had; once the disk is full it goes on in these.

        What is given back on a full disk may be out of reach: the last blocks of many file systems are root's alone.
        """
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):
            facts = log.stat()
            if facts.st_blocks * 512 - facts.st_size < _BEHIND // 2:
                disk = os.fstatvfs(self._handle)
                if disk.f_bavail * disk.f_frsize > _SPARE * _BEHIND:
                    _allocate_behind(log, _BEHIND)

    def refill(self) -> None:
        """Fill again, looked at once a minute."""
        now = clock.boot_ns()
        if self._handle >= 0 and now - self._looked_ns >= _REFILL_EVERY_NS:
            self._looked_ns = now
            self.fill()

    def close(self) -> None:
        """Close the file, which keeps its blocks."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
