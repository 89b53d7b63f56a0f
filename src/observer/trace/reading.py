# SPDX-License-Identifier: Apache-2.0
"""Reads a recording back: its start and end, its sealed lines, its calls. Never writes to it.

Everything comes in pages of JSON from the native reader, which checks each chunk against its sealed digest, so memory
stays bounded whatever the size of the recording.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer import _native
from observer.errors import FormatError
from observer.model.identity import IdentityContext
from observer.model.trace import TraceStatus

__all__ = ["Recording", "SealedLine", "TraceStart"]

_PAGE: Final = 2048  # lines or calls per crossing into the native core
_EVERYTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStart:
    """What the first line of a recording says.

    Attributes:
        trace_id: The trace.
        container_id: Its container.
        plugin_id: Its plugin.
        identity: On whose behalf it ran.
        wall_ns: CLOCK_REALTIME at the start, ns since the Unix epoch.
        monotonic_ns: CLOCK_MONOTONIC at the same moment, ns, of boot `boot_id`.
        boot_id: The kernel's id of the boot.
        hostname: Where it was recorded.
        kernel: Release of the kernel.
        arch: Processor, such as `x86_64`.
        command: The recorded command line; None for an embedder's trace.
        source: `ptrace`, `api`, or `wasi` for a plugin.
    """

    trace_id: UUID
    container_id: UUID | None
    plugin_id: UUID | None
    identity: IdentityContext
    wall_ns: int
    monotonic_ns: int
    boot_id: str
    hostname: str
    kernel: str
    arch: str
    command: tuple[str, ...] | None
    source: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TraceStart:
        """Return the facts of a `trace_start` line.

        Raises:
            FormatError: Something required is missing or of the wrong type.
        """
        try:
            command = values.get("command")
            return cls(
                trace_id=UUID(values["trace_id"]),
                container_id=_optional_id(values.get("container_id")),
                plugin_id=_optional_id(values.get("plugin_id")),
                identity=IdentityContext.from_dict(values["identity"]),
                wall_ns=int(values["wall_ns"]),
                monotonic_ns=int(values["monotonic_ns"]),
                boot_id=str(values.get("boot_id", "")),
                hostname=str(values.get("hostname", "")),
                kernel=str(values.get("kernel", "")),
                arch=str(values.get("arch", "")),
                command=None if command is None else tuple(str(word) for word in command),
                source=str(values.get("source", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"malformed trace_start: {error!r}") from error


@dataclass(frozen=True, slots=True)
class SealedLine:
    """One line of the sealed log.

    Attributes:
        sequence: Its number, from 0.
        event: What it says.
    """

    sequence: int
    event: Mapping[str, Any]

    @property
    def record_id(self) -> str:
        """The id by which summaries cite this line."""
        return f"e{self.sequence}"


class Recording:
    """A recording on disk, whole or cut off.

    Attributes:
        path: Its directory.
        start: What its first line says.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FormatError: Not a recording. [OBS500]
            NewerVersion: Written by a newer version. [OBS501]
            CapabilityError: This user may not read it.
        """
        self.path = path
        self._reader = _native.RecordingReader(str(path))
        self.start = TraceStart.from_dict(json.loads(self._reader.start()))

    def lines(self, first: int = 0) -> Iterator[SealedLine]:
        """Yield the sealed lines from this sequence number on."""
        while page := self._reader.lines(first, _PAGE):
            for text in page.splitlines():
                line = json.loads(text)
                first = int(line["seq"]) + 1
                yield SealedLine(int(line["seq"]), line["event"])

    def call_lines(self, query: Mapping[str, Any] = _EVERYTHING, first: int = 0) -> Iterator[bytes]:
        """Yield the calls that a query selects, from this record number on, each as a line of JSON.

        Args:
            query: `syscalls`, `classes` (lists of names), `pid`, `tid`, `failed`, `denied`, `path_contains`,
                `since_ns`, `until_ns` (CLOCK_MONOTONIC); all optional, all must hold.
            first: Record number to begin with.
        """
        wanted = json.dumps(query).encode()
        while page := self._reader.calls(wanted, first, _PAGE):
            last = b""
            for last in page.splitlines():
                yield last
            first = int(json.loads(last)["record"]) + 1

    def calls(self, query: Mapping[str, Any] = _EVERYTHING, first: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the calls that a query selects as `call_lines` does, decoded."""
        for line in self.call_lines(query, first):
            yield json.loads(line)

    def stats(self) -> dict[str, Any]:
        """Return sizes and counts: `calls`, `chunks`, `raw_bytes`, `stored_bytes`, `bytes_per_call`, `lost`, …."""
        return _object(self._reader.stats())

    def digest(self) -> dict[str, Any]:
        """Return the DNA and the counts by syscall, outcome and errno, over all calls."""
        return _object(self._reader.digest())

    def call_count(self) -> int:
        """Return how many calls are sealed; records of delivered signals do not count."""
        if self.start.source in ("api", "wasi"):
            return int(self.stats()["calls"])
        return sum(self.digest()["outcomes"].values())

    def end(self) -> Mapping[str, Any] | None:
        """Return the `trace_end` line, or None when the recording was never closed."""
        end: Mapping[str, Any] | None = self.stats()["end"]
        return end

    def is_being_written(self) -> bool:
        """Return whether a living process holds the log open for writing; source flock(2)."""
        with (self.path / "sealed.log").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def status(self, end: Mapping[str, Any] | None) -> TraceStatus:
        """Return where the trace stands, given its `trace_end` line if it has one."""
        if end is None:
            if self.is_being_written():
                return TraceStatus.ACTIVE
            return TraceStatus.failed("the recording has no end: its writer was killed or lost power")
        if end.get("status") == "completed":
            return TraceStatus.COMPLETED
        return TraceStatus.failed(str(end.get("reason") or "no reason was given"))


def _optional_id(value: object) -> UUID | None:
    return None if value is None else UUID(str(value))


def _object(text: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value
