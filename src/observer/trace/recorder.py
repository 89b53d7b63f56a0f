# SPDX-License-Identifier: Apache-2.0
"""Records one trace for a program that embeds Observer: calls and events in, a sealed recording out.

Calls are handed to the native writer at once; it seals them in chunks, at the latest 200 ms after the first of a chunk.
Events are sealed one by one. What was sealed survives `kill -9` of this process.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import observer
from observer import _native, clock
from observer.errors import UsageError
from observer.model.event import EventSeverity
from observer.model.identity import IdentityContext
from observer.trace.calls import check_score, clean_text, encode

__all__ = ["TraceRecorder", "start_facts"]


def start_facts(
    trace_id: UUID,
    identity: IdentityContext,
    *,
    source: str,
    container_id: UUID | None = None,
    plugin_id: UUID | None = None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the `trace_start` line of a trace that starts now on this machine; source docs/spec/recording.md §6."""
    return {
        "type": "trace_start",
        "trace_id": str(trace_id),
        "container_id": str(container_id) if container_id else None,
        "plugin_id": str(plugin_id) if plugin_id else None,
        "identity": identity.to_dict(),
        "wall_ns": clock.wall_ns(),
        "monotonic_ns": clock.monotonic_ns(),
        "boot_id": clock.boot_id(),
        "hostname": platform.node(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "command": None if command is None else [clean_text(word) for word in command],
        "source": source,
        "observer_version": observer.__version__,
    }


class TraceRecorder:
    """The open end of one trace; every method may be called from any thread.

    Attributes:
        trace_id: The trace.
        path: The recording's directory.
        start: Its `trace_start` line.
    """

    def __init__(self, path: Path, start: Mapping[str, Any], key: bytes | None) -> None:
        """Create the recording and seal its start.

        Raises:
            CapabilityError: The directory cannot be written.
            StorageFull: The disk is full.
            KeyUnusable: The key is too short.
        """
        self.trace_id, self.path, self.start = UUID(start["trace_id"]), path, start
        self._pid = os.getpid()
        self._identity = IdentityContext.from_dict(start["identity"])
        self._last_identity = (self._identity, self._identity.to_dict())
        self._closing = threading.Lock()
        self._closed = False
        self._writer = _native.RecordingWriter(str(path), encode(start), key)

    def record_syscall(
        self,
        syscall: str,
        identity: IdentityContext | None,
        args: Sequence[object],
        allowed: bool,
        *,
        reason: str | None = None,
        trust_score: float | None = None,
        policy_version: str | None = None,
        enforcement_mode: str | None = None,
        violation_action: str | None = None,
        duration_ns: int | None = None,
        result: int | str | None = None,
        errno: str | None = None,
        start_ns: int | None = None,
        thread: int | None = None,
    ) -> str:
        """Append one syscall attempt and return its record id, such as `s17`; see `observer.trace.record_syscall`."""
        now_ns, now_wall_ns = clock.monotonic_ns(), clock.wall_ns()
        at_ns = now_ns - (duration_ns or 0) if start_ns is None else start_ns
        call: dict[str, Any] = {
            "syscall": clean_text(syscall),
            "args": [clean_text(argument) for argument in args],
            "identity": self._identity_facts(identity or self._identity),
            "allowed": bool(allowed),
            "reason": None if reason is None else clean_text(reason),
            "trust_score": check_score(trust_score),
            "policy_version": None if policy_version is None else clean_text(policy_version),
            "enforcement_mode": enforcement_mode,
            "violation_action": violation_action,
            "start_ns": at_ns,
            "wall_ns": now_wall_ns - (now_ns - at_ns),
            "duration_ns": duration_ns,
            "result": clean_text(result) if isinstance(result, str) else result,
            "errno": errno,
            "pid": self._pid,
            "tid": threading.get_native_id() if thread is None else thread,
        }
        line = encode({key: value for key, value in call.items() if value is not None})
        return f"s{self._open_writer().append_calls(line)}"

    def record_event(
        self,
        event_type: str,
        severity: EventSeverity = EventSeverity.INFO,
        data: Mapping[str, object] | None = None,
    ) -> None:
        """Seal one event; an error or worse is on the disk when this returns."""
        event = {
            "type": "event",
            "event_type": clean_text(event_type),
            "severity": severity.value,
            "data": {clean_text(key): clean_text(value) for key, value in (data or {}).items()},
            "wall_ns": clock.wall_ns(),
            "at_ns": clock.monotonic_ns(),
        }
        writer = self._open_writer()
        writer.append_event(encode(event))
        if severity >= EventSeverity.ERROR:
            writer.flush(True)

    def flush(self, *, durable: bool = False) -> None:
        """Seal everything recorded so far; with `durable` it also survives power loss when this returns."""
        self._open_writer().flush(durable)

    def close(self, status: str, reason: str | None = None) -> None:
        """Seal the end of the trace; closing twice is a usage error.

        Args:
            status: `completed` or `failed`.
            reason: Why it failed.
        """
        end: dict[str, Any] = {
            "type": "trace_end",
            "status": status,
            "reason": None if reason is None else clean_text(reason),
        }
        end |= {"wall_ns": clock.wall_ns(), "monotonic_ns": clock.monotonic_ns()}
        with self._closing:
            self._open_writer().close(encode({key: value for key, value in end.items() if value is not None}))
            self._closed = True

    def _identity_facts(self, identity: IdentityContext) -> dict[str, Any]:
        known, facts = (
            self._last_identity
        )  # one reading of one attribute: another thread may replace the pair
        if known is not identity:
            facts = identity.to_dict()
            self._last_identity = (identity, facts)
        return facts

    def _open_writer(self) -> _native.RecordingWriter:
        if self._closed:
            raise UsageError(f"trace {self.trace_id} has ended", hint="start another with TraceContext.new")
        if os.getpid() != self._pid:
            raise UsageError(
                f"trace {self.trace_id} belongs to process {self._pid}, which this one was forked from",
                hint="start a trace in each process",
            )
        return self._writer
