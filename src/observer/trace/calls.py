# SPDX-License-Identifier: Apache-2.0
"""Turns `SyscallTrace` values and events into the JSON that a recording keeps, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from observer.clock import to_datetime
from observer.errors import FormatError, UsageError
from observer.model.event import EventSeverity, TraceEvent
from observer.model.identity import IdentityContext
from observer.model.trace import Outcome, SyscallTrace
from observer.trace.reading import SealedLine

__all__ = ["ARGUMENT_LIMIT", "call_from_dict", "check_score", "clean_text", "encode", "event_from_line"]

# Characters kept of one text an embedder hands in; the rest is counted in the text itself. Bounds memory and lines.
ARGUMENT_LIMIT: Final = 65_536


def clean_text(value: object) -> str:
    r"""Return a value as text that JSON in UTF-8 can hold: lone surrogates become `\udcff`, excess is cut and counted."""
    text = str(value)
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) > ARGUMENT_LIMIT:
        return f"{text[:ARGUMENT_LIMIT]}… [{len(text) - ARGUMENT_LIMIT} more characters]"
    return text


def encode(values: Mapping[str, Any]) -> bytes:
    """Return one JSON object on one line.

    Raises:
        UsageError: A number is not finite, or a value is of a type that JSON does not have.
    """
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        raise UsageError(f"cannot be recorded: {error}") from error


def check_score(score: float | None) -> float | None:
    """Return a trust score as it is.

    Raises:
        UsageError: It is not in [0, 1].
    """
    if score is not None and (math.isnan(score) or not 0.0 <= score <= 1.0):
        raise UsageError(f"trust score {score} is not in [0, 1]")
    return score


def call_from_dict(values: Mapping[str, Any]) -> SyscallTrace:
    """Return the call that a line of a recording describes.

    Raises:
        FormatError: Something required is missing or of the wrong type.
    """
    try:
        arguments = values.get("args") or ()
        structured = [item for item in arguments if isinstance(item, Mapping)]
        identity = values.get("identity")
        return SyscallTrace(
            record=int(values["record"]),
            syscall=str(values["syscall"]),
            args=tuple(str(item["text"]) for item in structured) or tuple(str(item) for item in arguments),
            arg_names=tuple(str(item.get("name", "")) for item in structured),
            arg_classes=tuple(str(item.get("class", "")) for item in structured),
            identity=IdentityContext.from_dict(identity) if identity else None,
            allowed=values.get("allowed"),
            reason=values.get("reason"),
            trust_score=values.get("trust_score"),
            policy_version=values.get("policy_version"),
            enforcement_mode=values.get("enforcement_mode"),
            violation_action=values.get("violation_action"),
            timestamp=to_datetime(int(values["wall_ns"])),
            start_ns=int(values["start_ns"]),
            duration_ns=values.get("duration_ns"),
            result=values.get("result"),
            result_text=values.get("result_text"),
            errno=values.get("errno"),
            outcome=Outcome(values.get("outcome", "ok")),
            pid=int(values.get("pid") or 0),
            tid=int(values.get("tid") or 0),
            process=values.get("process"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"malformed call {values.get('id', '')}: {error!r}") from error


def event_from_line(line: SealedLine) -> TraceEvent:
    """Return the event of a sealed line whose type is `event`.

    Raises:
        FormatError: Something required is missing or of the wrong type.
    """
    event = line.event
    try:
        return TraceEvent(
            event_type=str(event["event_type"]),
            timestamp=to_datetime(int(event["wall_ns"])),
            data={str(key): str(value) for key, value in (event.get("data") or {}).items()},
            severity=EventSeverity.parse(str(event.get("severity", ""))),
            sequence=line.sequence,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"malformed event {line.record_id}: {error!r}") from error
