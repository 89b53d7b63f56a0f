# SPDX-License-Identifier: Apache-2.0
"""The recorder's ring as the host sees it, and the calls in it. Layout: docs/spec/plugin-recording.md §3 and §4.

The ring lies in WebAssembly memory that the engine is set not to move, so its address holds for the life of the store.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from observer.errors import FormatError
from observer.plugins.trampolines import RING_START

__all__ = ["Blob", "Call", "DENIED", "NO_RESULT", "REASON", "Ring", "read_calls"]

NO_RESULT: Final = 1
DENIED: Final = 2
REASON: Final = 0xFFFF
_HEAD: Final = struct.Struct("<IHHQQiI")
_BLOB: Final = struct.Struct("<HHIII")
_FUNCTION_AND_FLAGS: Final = 4
_MOST_REASON: Final = 2048
_RETURNED: Final = 2


@dataclass(frozen=True, slots=True)
class Blob:
    """A piece of the plugin's memory.

    Attributes:
        param: Index of the parameter that names it; `REASON` for the reason of a decision.
        address: Where it begins.
        length: Bytes that were named.
        content: Those of them that exist, as they were.
    """

    param: int
    address: int
    length: int
    content: memoryview


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the recorder laid it out.

    Attributes:
        raw: Its bytes.
        function: Number of the function.
        flags: 1 no result, 2 denied, 4 memory out of range, 8 content clipped, 16 refused by a limit.
        start_ns: CLOCK_MONOTONIC at entry.
        end_ns: The same at return.
        result: What was returned.
        entry_size: Bytes that were known at entry.
    """

    raw: memoryview
    function: int
    flags: int
    start_ns: int
    end_ns: int
    result: int
    entry_size: int

    def same_entry(self, other: bytes) -> bool:
        """Whether a call that begins with these bytes is the same call with the same arguments and content."""
        return (
            len(other) == self.entry_size
            and other[4:6] == self.raw[4:6]
            and other[28:] == self.raw[28 : self.entry_size]
        )

    def argument(self, offset: int, width: int) -> int:
        """Return the argument at an offset behind the head, unsigned."""
        return int.from_bytes(self.raw[32 + offset : 32 + offset + width], "little")

    def blobs(self, argument_bytes: int, *, entered: bool = True, left: bool = True) -> Iterator[Blob]:
        """Yield the pieces of memory that were read at entry and at return."""
        at = 32 + -(-argument_bytes // 8) * 8
        if not entered:
            at = self.entry_size
        end = len(self.raw) if left else self.entry_size
        while at + _BLOB.size <= end:
            param, _, address, length, kept = _BLOB.unpack_from(self.raw, at)
            yield Blob(param, address, length, self.raw[at + 16 : at + 16 + kept])
            at += (16 + kept + 7) & ~7


def read_calls(payload: bytes | memoryview) -> Iterator[Call]:
    """Yield the calls of a chunk's payload.

    Raises:
        FormatError: A call is malformed. [OBS500]
    """
    view = memoryview(payload)
    at = 0
    while at < len(view):
        if at + _HEAD.size > len(view):
            raise FormatError(f"a call is cut off at byte {at} of its chunk")
        size, function, flags, start, end, result, entry = _HEAD.unpack_from(view, at)
        if size < 32 or size % 8 or at + size > len(view) or not 32 <= entry <= size:
            raise FormatError(f"a call is malformed at byte {at} of its chunk")
        yield Call(view[at : at + size], function, flags, start, end, result, entry)
        at += size


class Ring:
    """Takes finished calls out of the ring; any thread may, one at a time."""

    def __init__(self, base: int) -> None:
        """Use the ring at this address."""
        self._base, self._read = base, RING_START
        self._lock = threading.Lock()
        self._head = ctypes.c_uint32.from_address(base)
        self._pending = ctypes.c_uint32.from_address(base + 4)
        self._record = ctypes.c_uint32.from_address(base + 8)
        self._decided = ctypes.c_uint32.from_address(base + 12)
        self._reason = ctypes.c_uint32.from_address(base + 16)
        self._head.value, self._record.value = RING_START, RING_START

    def take(self, keep: Callable[[bytes], object]) -> None:
        """Hand over the calls that were finished since the last time."""
        with self._lock:
            head = self._head.value
            if head > self._read:
                keep(ctypes.string_at(self._base + self._read, head - self._read))
                self._read = head

    def empty(self, keep: Callable[[bytes], object]) -> None:
        """Hand over what is left and begin again at the front; only the recorder itself may ask for this."""
        with self._lock:
            head = self._head.value
            if head > self._read:
                keep(ctypes.string_at(self._base + self._read, head - self._read))
            self._read = self._head.value = RING_START

    def unfinished(self) -> bytes:
        """Return the entry of the call that is under way, or nothing."""
        if not self._pending.value:
            return b""
        start = self._base + self._record.value
        return ctypes.string_at(start, ctypes.c_uint32.from_address(start + 28).value)

    def abandon(self, finish: Callable[[bytes], bytes] | None = None) -> bytes:
        """Return the call under way, if there is one, and forget it.

        Args:
            finish: Adds what the host left in the plugin's memory. A call that had not returned is told as having no result.
        """
        entry, returned = bytearray(self.unfinished()), self._pending.value == _RETURNED
        self._pending.value = 0
        if not entry:
            return b""
        entry[0:4] = len(entry).to_bytes(4, "little")
        if not returned:
            entry[6:8] = NO_RESULT.to_bytes(2, "little")
            entry[16:28] = bytes(12)
        return bytes(entry) if finish is None else finish(bytes(entry))

    def decide(self, allowed: bool, reason: str) -> None:
        """Leave the decision on the call under way where the recorder takes it from."""
        text = reason.encode()[:_MOST_REASON]
        ctypes.memmove(self._base + 64, text, len(text))
        self._reason.value = len(text)
        self._decided.value = 0 if allowed else DENIED
