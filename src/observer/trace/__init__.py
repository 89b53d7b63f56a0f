# SPDX-License-Identifier: Apache-2.0
"""Records traces, keeps them, reads them back and sums them up.

A program that embeds Observer starts a trace, records what it decides and does, and completes it:

    from observer import trace

    context = trace.TraceContext.new(container_id, None, identity)
    trace.record_syscall(context.trace_id, "open_file", identity, ["path/to/file", "r"], True)
    trace.record_event(context.trace_id, "container_started", trace.EventSeverity.INFO, {"image": "alpine"})
    trace.complete_trace(context.trace_id)
    summary = trace.generate_llm_summary(context.trace_id)

Traces are recordings on disk (docs/spec/recording.md): they survive the process, and another one lists and reads them.
This room never decides policy and never changes what was recorded.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from observer.model.event import EventSeverity, TraceEvent
from observer.model.identity import IdentityContext, TrustVector
from observer.model.summary import Deduction, KeyEvent, LlmSummary, RiskFactor, ThreadDna, TraceDna
from observer.model.trace import Outcome, SyscallTrace, SyscallType, TraceStatus
from observer.trace.capture import RecordedCommand, RecordingOptions, record_command
from observer.trace.context import RecordedSequence, TraceContext
from observer.trace.reading import Recording, SealedLine, TraceStart
from observer.trace.recorder import TraceRecorder
from observer.trace.registry import TraceRegistry
from observer.trace.store import StoredTrace, TraceStore

if TYPE_CHECKING:
    from observer.trace.functions import (
        complete_trace,
        fail_trace,
        generate_llm_summary,
        get_trace,
        list_traces,
        record_event,
        record_syscall,
    )
    from observer.trace.summary import summarise, verify_recording

# What is imported when it is asked for: a command that is only recorded must not wait for the rules that judge it.
_LATER: Final = {
    "functions": (
        "complete_trace",
        "fail_trace",
        "generate_llm_summary",
        "get_trace",
        "list_traces",
        "record_event",
        "record_syscall",
    ),
    "summary": ("summarise", "verify_recording"),
}

__all__ = [
    "Deduction",
    "EventSeverity",
    "IdentityContext",
    "KeyEvent",
    "LlmSummary",
    "Outcome",
    "RecordedCommand",
    "RecordedSequence",
    "Recording",
    "RecordingOptions",
    "RiskFactor",
    "SealedLine",
    "StoredTrace",
    "SyscallTrace",
    "SyscallType",
    "ThreadDna",
    "TraceContext",
    "TraceDna",
    "TraceEvent",
    "TraceRecorder",
    "TraceRegistry",
    "TraceStart",
    "TraceStatus",
    "TraceStore",
    "TrustVector",
    "complete_trace",
    "fail_trace",
    "generate_llm_summary",
    "get_trace",
    "list_traces",
    "record_command",
    "record_event",
    "record_syscall",
    "summarise",
    "verify_recording",
]


def __getattr__(name: str) -> Any:
    """Import the module of a name of `_LATER`."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
