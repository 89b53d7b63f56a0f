# SPDX-License-Identifier: Apache-2.0
"""Reads one kernel tracepoint on every processor with perf_event_open(2): samples, and the names processes took by exec.

perf needs CAP_PERFMON alone, where tracefs would need a writable /sys and its owner's rights. The layout of what the kernel
writes is that of perf_event_open(2), "MMAP layout".
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import select
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Name", "Sample", "Tracepoint"]

_PAGES: Final = 8  # of buffer on each processor: some hundred samples, and names of some hundred execs
_SYSCALL: Final = {"x86_64": 298, "aarch64": 241}
_TYPE_TRACEPOINT: Final = 2
_TID, _TIME, _CPU, _RAW = 2, 4, 128, 1024
_RECORD_COMM, _RECORD_LOST, _RECORD_SAMPLE = 3, 2, 9
_IOC_ENABLE, _IOC_FILTER = 0x2400, 0x40082406
_USE_CLOCKID, _SAMPLE_ID_ALL, _COMM = 1 << 25, 1 << 18, 1 << 9
_CLOCK_MONOTONIC: Final = 1
_HEAD_AT, _TAIL_AT = 1024, 1032
_HEADER: Final = struct.Struct("<IHH")
_SAMPLE: Final = struct.Struct("<IIQIII")  # pid tid time cpu reserved raw size


class Sample(NamedTuple):
    """The tracepoint was hit: process, thread, CLOCK_MONOTONIC ns, raw fields."""

    pid: int
    tid: int
    monotonic_ns: int
    raw: bytes


class Name(NamedTuple):
    """A process took a name."""

    pid: int
    tid: int
    comm: str


class Tracepoint:
    """One tracepoint, on all processors that are online."""

    def __init__(self, number: int, condition: str) -> None:
        """Open and enable it.

        Args:
            number: Id of the tracepoint, from tracefs.
            condition: Filter in the kernel's words, such as `sig == 9`.

        Raises:
            OSError: Not permitted, or not known.
        """
        self._handles: list[int] = []
        self._maps: list[mmap.mmap] = []
        self.lost = 0
        self.ready = select.epoll()  # one descriptor to wait for, that stands for all processors
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            for cpu in sorted(_online()):
                self._open(libc, number, cpu, condition)
        except OSError:
            self.close()
            raise

    def _open(self, libc: ctypes.CDLL, number: int, cpu: int, condition: str) -> None:
        attributes = struct.pack(
            "<IIQQQQQII QQQQIiQ",
            *(_TYPE_TRACEPOINT, 120, number, 1, _TID | _TIME | _CPU | _RAW, 0),
            *(_USE_CLOCKID | _SAMPLE_ID_ALL * 0 | _COMM | 1, 1, 0),
            *(0, 0, 0, 0, 0, _CLOCK_MONOTONIC, 0),
        ).ljust(120, b"\0")
        call = _SYSCALL.get(platform.machine())
        if call is None:
            raise OSError(38, "perf_event_open is not known on this architecture")
        handle = libc.syscall(call, attributes, -1, cpu, -1, 8)
        if handle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._handles.append(handle)
        fcntl.ioctl(handle, _IOC_FILTER, condition.encode() + b"\0")
        page = mmap.PAGESIZE
        self._maps.append(mmap.mmap(handle, (1 + _PAGES) * page))
        fcntl.ioctl(handle, _IOC_ENABLE, 0)
        self.ready.register(handle, select.EPOLLIN)

    def read(self) -> Iterator[Sample | Name]:
        """Yield what is in the buffers, names before the samples of their processor that follow them."""
        for buffer in self._maps:
            yield from self._drain(buffer)

    def _drain(self, buffer: mmap.mmap) -> Iterator[Sample | Name]:
        page = mmap.PAGESIZE
        size = _PAGES * page
        head = int.from_bytes(buffer[_HEAD_AT : _HEAD_AT + 8], "little")
        tail = int.from_bytes(buffer[_TAIL_AT : _TAIL_AT + 8], "little")
        while tail < head:
            kind, _, length = _HEADER.unpack(_cut(buffer, page, tail % size, _HEADER.size, size))
            if length < _HEADER.size:
                tail = head
                break
            body = _cut(buffer, page, (tail + _HEADER.size) % size, length - _HEADER.size, size)
            tail += length
            if kind == _RECORD_SAMPLE:
                pid, tid, time, _, _, raw = _SAMPLE.unpack_from(body)
                yield Sample(pid, tid, time, body[_SAMPLE.size : _SAMPLE.size + raw])
            elif kind == _RECORD_COMM:
                pid, tid = struct.unpack_from("<II", body)
                yield Name(pid, tid, body[8:].split(b"\0", 1)[0].decode("utf-8", "replace"))
            elif kind == _RECORD_LOST:
                self.lost += int.from_bytes(body[8:16], "little")
        buffer[_TAIL_AT : _TAIL_AT + 8] = tail.to_bytes(8, "little")

    def close(self) -> None:
        """Disable it and give the buffers back."""
        self.ready.close()
        for buffer in self._maps:
            buffer.close()
        for handle in self._handles:
            os.close(handle)
        self._maps, self._handles = [], []


def _cut(buffer: mmap.mmap, page: int, at: int, length: int, size: int) -> bytes:
    first = min(length, size - at)
    return buffer[page + at : page + at + first] + buffer[page : page + length - first]


def _online() -> set[int]:
    found: set[int] = set()
    with open("/sys/devices/system/cpu/online", encoding="ascii") as stream:  # noqa: PTH123
        for piece in stream.read().strip().split(","):
            low, _, high = piece.partition("-")
            found |= set(range(int(low), int(high or low) + 1))
    return found
