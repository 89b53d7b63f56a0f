# SPDX-License-Identifier: Apache-2.0
"""Seals events into one log. Policy (what is recorded, when) belongs to the caller; bytes and disks to the native core."""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from observer import _native

__all__ = ["SealedLog", "Severity"]


class Severity(enum.IntEnum):
    """How bad an event is; from `ERROR` on it is on disk before `append` returns."""

    VERBOSE = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


class SealedLog:
    """A log open for appending; make one with `create` or `open`, and use it in a `with` block.

    Leaving the block seals an `end` record. A log that ends without one was cut off or is still open.
    """

    def __init__(self, writer: _native.EvidenceWriter, path: Path) -> None:
        self._writer: _native.EvidenceWriter | None = writer
        self._open_writer = writer
        self.path = path

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        key: bytes | None = None,
        durability: str = "kernel",
        origin: str = "",
    ) -> Self:
        """Make a new log, mode 0600, that is on disk when this returns.

        Args:
            path: File to make; it must not exist.
            key: HMAC-SHA256 key, 32 to 4,096 bytes, that signs every line; None makes an unsigned log.
            durability: `buffered`, `kernel` (survives `kill -9`), `group:LINES` or `disk` (survives power loss).
            origin: Name of the log for its checkpoints; empty makes one from its random identity.

        Raises:
            CaptureError: The file exists or cannot be made. [OBS300]
            StorageFull: No space; nothing is left behind. [OBS301]
            KeyUnusable: The key is too short or too long. [OBS101]
        """
        where = Path(path)
        writer = _native.EvidenceWriter(
            os.fspath(where), create=True, key=key, durability=durability, origin=origin
        )
        return cls(writer, where)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, key: bytes | None = None, durability: str = "kernel"
    ) -> Self:
        """Open a log to append: all of it is checked, and what a crash left at its end is cut away and recorded.

        Args:
            path: The log.
            key: The key it was begun with, or None for an unsigned one.
            durability: As for `create`.

        Raises:
            IntegrityError: Its lines do not hold; such a log is evidence and is not written to. [OBS4xx]
            KeyUnusable: It is signed and no key was given. [OBS101]
            CaptureError: Another writer has it open, or it is a link. [OBS300]
        """
        where = Path(path)
        writer = _native.EvidenceWriter(
            os.fspath(where), create=False, key=key, durability=durability, origin=""
        )
        return cls(writer, where)

    def append(self, event: bytes, severity: Severity = Severity.INFO) -> int:
        """Seal one event and return its sequence (from 0; 0 is the log's own first record).

        Args:
            event: UTF-8 bytes of one JSON object on one line, no key twice, at most 1,047,552 bytes.
            severity: Decides when the line must be on disk; not stored, the event carries its own.

        Raises:
            UsageError: The bytes break a rule for events. [OBS100]
            StorageFull: No space; this event is not sealed, all before it are whole. [OBS301]
        """
        return self._open_writer.append(event, int(severity))

    def append_batch(self, events: Sequence[bytes], severity: Severity = Severity.INFO) -> int:
        """Seal events, all or none, and return the sequence of the first; errors as for `append`."""
        return self._open_writer.append_batch(list(events), int(severity))

    def declare_loss(self, dropped: int, reason: str) -> int:
        """Seal a record that `dropped` events happened and could not be sealed; returns its sequence."""
        return self._open_writer.declare_loss(dropped, reason)

    def flush(self) -> None:
        """Give all lines to the kernel: from here on they survive `kill -9`."""
        self._open_writer.flush()

    def sync(self) -> None:
        """Force all lines to the disk: from here on they survive power loss."""
        self._open_writer.sync()

    @property
    def next_sequence(self) -> int:
        """Sequence of the next line."""
        return self._open_writer.next_sequence()

    def close(self) -> None:
        """Seal an `end` record and force everything to the disk; a second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
