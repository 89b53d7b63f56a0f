# SPDX-License-Identifier: Apache-2.0
"""A trace as a value: who, when, what, and how it ended, as of the moment it was asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TypeVar, overload
from uuid import UUID

from observer.clock import to_datetime
from observer.model.event import TraceEvent
from observer.model.identity import IdentityContext
from observer.model.trace import SyscallTrace, TraceStatus
from observer.trace.calls import call_from_dict, event_from_line
from observer.trace.reading import Recording
from observer.trace.registry import TraceRegistry, default_registry

__all__ = ["RecordedSequence", "TraceContext"]

T = TypeVar("T")


class RecordedSequence(Sequence[T]):
    """Values that stay on disk until they are asked for, so that a trace of any size is a small value.

    Iterating streams. An index reads up to it; slices are lists.
    """

    def __init__(self, count: Callable[[], int], stream: Callable[[], Iterator[T]]) -> None:
        """Make a sequence of as many values as `count` says, of what `stream` yields anew each time."""
        self._measure, self._stream = count, stream

    @functools.cached_property
    def _count(self) -> int:
        return self._measure()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return islice(self._stream(), self._count)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            first, end, step = index.indices(self._count)
            if step > 0:
                return list(islice(self, first, end, step))
            return [self[position] for position in range(first, end, step)]
        position = index + self._count if index < 0 else index
        if not 0 <= position < self._count:
            raise IndexError(index)
        return next(islice(self, position, None))

    def __repr__(self) -> str:
        return "<recorded values, on disk>"


_NO_CALLS: RecordedSequence[SyscallTrace] = RecordedSequence(lambda: 0, lambda: iter(()))
_NO_EVENTS: RecordedSequence[TraceEvent] = RecordedSequence(lambda: 0, lambda: iter(()))


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One trace, as of the moment it was asked for; `get_trace(context.trace_id)` asks again.

    Attributes:
        trace_id: The trace.
        container_id: Its container, if it belongs to one.
        plugin_id: Its plugin, if it belongs to one.
        identity: On whose behalf it runs.
        start_time: UTC, to the microsecond.
        end_time: UTC; None while it is active, and when its writer was killed.
        syscalls: The sealed syscall attempts, in the order in which they returned; read from disk when iterated.
        events: The sealed events, in order; read from disk when iterated.
        status: Where it stands.
        command: The recorded command line; None for an embedder's trace.
    """

    trace_id: UUID
    container_id: UUID | None
    plugin_id: UUID | None
    identity: IdentityContext
    start_time: datetime
    end_time: datetime | None = None
    syscalls: Sequence[SyscallTrace] = _NO_CALLS
    events: Sequence[TraceEvent] = _NO_EVENTS
    status: TraceStatus = TraceStatus.ACTIVE
    command: tuple[str, ...] | None = None

    @classmethod
    def new(
        cls,
        container_id: UUID | None,
        plugin_id: UUID | None,
        identity: IdentityContext,
        *,
        registry: TraceRegistry | None = None,
    ) -> TraceContext:
        """Start a trace, register it by its id, and return it as it is now: active and empty.

        Args:
            container_id: The container it belongs to, or None.
            plugin_id: The plugin it belongs to, or None.
            identity: On whose behalf it runs.
            registry: Where to register it; default the process's own.

        Raises:
            KeyUnusable: The environment names a log key that cannot be used. [OBS101]
            CapabilityError: The store cannot be written. [OBS200]
            StorageFull: The disk is full. [OBS301]
        """
        recorder = (registry or default_registry()).start(container_id, plugin_id, identity)
        start_time = to_datetime(int(recorder.start["wall_ns"]))
        return cls(recorder.trace_id, container_id, plugin_id, identity, start_time)

    @classmethod
    def of(cls, recording: Recording) -> TraceContext:
        """Return the trace that a recording holds, with what is sealed in it now."""
        start, end, events = recording.start, None, 0
        for line in recording.lines():
            kind = line.event.get("type")
            events += kind == "event"
            end = line.event if kind == "trace_end" else end

        def read_events() -> Iterator[TraceEvent]:
            return (event_from_line(line) for line in recording.lines() if line.event.get("type") == "event")

        context = cls(
            start.trace_id,
            start.container_id,
            start.plugin_id,
            start.identity,
            to_datetime(start.wall_ns),
            syscalls=RecordedSequence(recording.call_count, lambda: map(call_from_dict, recording.calls())),
            events=RecordedSequence(lambda: events, read_events),
            status=recording.status(end),
            command=start.command,
        )
        return context if end is None else replace(context, end_time=to_datetime(int(end["wall_ns"])))
