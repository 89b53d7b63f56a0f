# SPDX-License-Identifier: Apache-2.0
"""The journal's export format, entry by entry, from pieces as they come out of a pipe.

Source: https://systemd.io/JOURNAL_EXPORT_FORMATS. Text fields are `NAME=value` lines; others are a line with the name, 64 bits of
little-endian length, the bytes, a newline. An empty line ends an entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["ExportParser"]

_MAX_VALUE: Final = 64 * 1024  # of a longer value the rest is skipped as it arrives, never held


class ExportParser:
    """Cuts a stream into entries; holds at most one entry and one piece."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fields: dict[bytes, bytes] = {}
        self._skip = 0
        self.skipped = 0  # bytes of values that were longer than is kept

    def feed(self, piece: bytes) -> Iterator[dict[bytes, bytes]]:
        """Yield the entries that this piece completes; a name that comes twice keeps its first value."""
        self._data += piece
        position = 0
        while True:
            if not self._skip and not self._fields and (end := self._data.find(b"\n\n", position)) >= 0:
                entry = _plain(bytes(self._data[position:end]))
                if entry is not None:
                    position = end + 2
                    if entry:
                        yield entry
                    continue
            step = self._step(position)
            if step is None:
                break
            position, whole = step
            if whole and self._fields:
                yield self._fields
                self._fields = {}
        del self._data[:position]

    def _step(self, position: int) -> tuple[int, bool] | None:
        """Take one line or one binary value; returns the new position and whether an entry ended."""
        if self._skip:
            gone = min(self._skip, len(self._data) - position)
            self._skip -= gone
            return (position + gone, False) if gone else None
        end = self._data.find(b"\n", position)
        if end < 0:
            return None
        line = bytes(self._data[position:end])
        if not line:
            return end + 1, True
        name, separator, value = line.partition(b"=")
        if separator:
            self._fields.setdefault(name, value)
            return end + 1, False
        return self._binary(line, end + 1)

    def _binary(self, name: bytes, at: int) -> tuple[int, bool] | None:
        if len(self._data) < at + 8:
            return None
        length = int.from_bytes(self._data[at : at + 8], "little")
        keep = min(length, _MAX_VALUE)
        if len(self._data) < at + 8 + keep:
            return None
        self._fields.setdefault(name, bytes(self._data[at + 8 : at + 8 + keep]))
        self._skip = length - keep + 1  # the newline after it too
        self.skipped += length - keep
        return at + 8 + keep, False


def _plain(entry: bytes) -> dict[bytes, bytes] | None:
    """Return the fields of an entry that has only text fields, else None."""
    fields: dict[bytes, bytes] = {}
    for line in entry.split(b"\n"):
        name, separator, value = line.partition(b"=")
        if separator:
            fields.setdefault(name, value)
        elif line:
            return None
    return fields
