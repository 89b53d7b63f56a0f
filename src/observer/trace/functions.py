# SPDX-License-Identifier: Apache-2.0
"""The functions of `observer.trace`: thin, over the process's own registry."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from observer.errors import ObserverError
from observer.model.event import EventSeverity
from observer.model.identity import IdentityContext
from observer.model.summary import LlmSummary
from observer.trace.context import TraceContext
from observer.trace.reading import Recording
from observer.trace.registry import default_registry
from observer.trace.summary import summarise

__all__ = [
    "complete_trace",
    "fail_trace",
    "generate_llm_summary",
    "get_trace",
    "list_traces",
    "record_event",
    "record_syscall",
]


def record_syscall(
    trace_id: UUID,
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
    """Append one syscall attempt to a trace.

    Args:
        trace_id: A trace that this process is recording.
        syscall: Name of the call.
        identity: On whose behalf; None for the trace's own identity.
        args: Arguments, kept as text.
        allowed: The policy's decision.
        reason: Why it was decided so.
        trust_score: Trust at the time of the decision, in [0, 1].
        policy_version: Version of the policy that decided.
        enforcement_mode: `enforce`, `audit` or `permissive`.
        violation_action: `block`, `quarantine`, `warn` or `allow`.
        duration_ns: How long the call took, ns.
        result: What it returned.
        errno: Name of the error it returned, such as `ENOENT`; None when it succeeded.
        start_ns: CLOCK_MONOTONIC at entry, ns; default now, less the duration.
        thread: Kernel thread id; default the calling thread's.

    Returns:
        The record's id, such as `s17`, by which summaries cite it.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        UsageError: The trace has ended, or a value is out of range. [OBS100]
        StorageFull: The disk is full; what had been sealed is kept. [OBS301]
    """
    return (
        default_registry()
        .recorder(trace_id)
        .record_syscall(
            syscall,
            identity,
            args,
            allowed,
            reason=reason,
            trust_score=trust_score,
            policy_version=policy_version,
            enforcement_mode=enforcement_mode,
            violation_action=violation_action,
            duration_ns=duration_ns,
            result=result,
            errno=errno,
            start_ns=start_ns,
            thread=thread,
        )
    )


def record_event(
    trace_id: UUID,
    event_type: str,
    severity: EventSeverity = EventSeverity.INFO,
    data: Mapping[str, object] | None = None,
) -> None:
    """Seal one event in a trace; an error or worse is on the disk when this returns.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        UsageError: The trace has ended. [OBS100]
    """
    default_registry().recorder(trace_id).record_event(event_type, severity, data)


def complete_trace(trace_id: UUID) -> None:
    """Seal the end of a trace that did what it should; all of it is on the disk when this returns.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        UsageError: The trace has ended already. [OBS100]
    """
    default_registry().end(trace_id, "completed")


def fail_trace(trace_id: UUID, reason: str) -> None:
    """Seal the end of a trace that failed, and why; all of it is on the disk when this returns.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        UsageError: The trace has ended already. [OBS100]
    """
    default_registry().end(trace_id, "failed", reason)


def get_trace(trace_id: UUID) -> TraceContext:
    """Return a trace as it is now, recorded by this process or any other.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        FormatError: Its recording is damaged. [OBS500]
    """
    return TraceContext.of(Recording(default_registry().path_of(trace_id)))


def list_traces(
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    container_id: UUID | None = None,
    plugin_id: UUID | None = None,
    identity: IdentityContext | str | None = None,
) -> list[TraceContext]:
    """Return the traces that the store keeps, newest first; all filters given must hold.

    A recording that cannot be opened is left out; `observer show` names those.

    Args:
        since: Started at this time or later; with a time zone.
        until: Started before this time; with a time zone.
        container_id: Belongs to this container.
        plugin_id: Belongs to this plugin.
        identity: Of this tenant and user; as text: a user, a tenant, an agent, or `tenant/user`.
    """
    found = []
    for entry in default_registry().store.entries():
        with contextlib.suppress(ObserverError, OSError):
            recording = Recording(entry.path)
            start = recording.start
            if container_id not in (None, start.container_id) or plugin_id not in (None, start.plugin_id):
                continue
            if identity is not None and not start.identity.is_called(identity):
                continue
            context = TraceContext.of(recording)
            if (since is None or context.start_time >= since) and (
                until is None or context.start_time < until
            ):
                found.append(context)
    return sorted(found, key=lambda context: context.start_time, reverse=True)


def generate_llm_summary(trace_id: UUID) -> LlmSummary:
    """Sum a trace up in counted facts and supported findings; deterministic, made by no model.

    Raises:
        NotFoundError: No trace has that id. [OBS700]
        FormatError: Its recording is damaged beyond reading. [OBS500]
    """
    return summarise(Recording(default_registry().path_of(trace_id)))
