# SPDX-License-Identifier: Apache-2.0
"""Picks the events of a trace that a reader wants first, in order of time, each with the line that proves it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from observer.model.safe_text import safe
from observer.model.summary import KeyEvent
from observer.trace.reading import SealedLine, TraceStart

__all__ = ["key_events"]

_MOST_PROGRAMS: Final = 15
_MOST_EVENTS: Final = 30
_MOST_ENDS: Final = 10
_LONGEST: Final = 160  # characters of a command line or of an event's data


def key_events(start: TraceStart, lines: Iterable[SealedLine]) -> list[KeyEvent]:
    """Return the beginning, programs executed, events, bad ends and losses, and the end; the rest is counted."""
    story = _Story(start)
    for line in lines:
        story.take(line)
    return story.tell()


class _Story:
    """Collects sentences by kind; each kind is bounded, and what is left out is counted."""

    def __init__(self, start: TraceStart) -> None:
        self._start = start
        self._told: list[KeyEvent] = []
        self._counts: dict[str, int] = {}
        self._left_out: dict[str, list[str]] = {}
        self._last: KeyEvent | None = None

    def take(self, line: SealedLine) -> None:
        event = line.event
        match event.get("type"):
            case "trace_start":
                self._tell("start", _begun(self._start), line, 1)
            case "process" if event.get("what") == "exec":
                self._tell("program", _executed(event), line, _MOST_PROGRAMS)
            case "process" if event.get("what") == "exit" and (text := _bad_end(event)):
                self._tell("end", text, line, _MOST_ENDS)
            case "event":
                self._tell("event", _happened(event), line, _MOST_EVENTS)
            case "loss":
                text = f"lost {event.get('count')} {event.get('what', 'records')}: {event.get('reason')}"
                self._tell("loss", text, line, _MOST_EVENTS)
            case "trace_end":
                reason = f": {event['reason']}" if event.get("reason") else ""
                self._last = KeyEvent(safe(f"trace {event.get('status')}{reason}"), [line.record_id])

    def _tell(self, kind: str, text: str, line: SealedLine, most: int) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= most:
            self._told.append(KeyEvent(safe(text), [line.record_id]))
        else:
            self._left_out.setdefault(kind, []).append(line.record_id)
            del self._left_out[kind][20:]

    def tell(self) -> list[KeyEvent]:
        words = {"program": "programs executed", "event": "events", "end": "processes that ended badly"}
        for kind, ids in self._left_out.items():
            told = sum(1 for _ in ids)
            count = self._counts[kind] - {"program": _MOST_PROGRAMS, "end": _MOST_ENDS}.get(
                kind, _MOST_EVENTS
            )
            text = f"and {count:,} more {words.get(kind, kind)}"
            self._told.append(KeyEvent(text, ids[:told], count))
        return self._told + ([self._last] if self._last is not None else [])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _command(words: Iterable[str]) -> str:
    return _cut(shlex.join(words))


def _begun(start: TraceStart) -> str:
    what = f"recorded {_command(start.command)}" if start.command else "trace opened by a program"
    return f"{what} for {start.identity} on {start.hostname}"


def _executed(event: Mapping[str, Any]) -> str:
    return (
        f"process {event.get('pid')} executed {_command(map(str, event.get('argv') or [event.get('exe')]))}"
    )


def _bad_end(event: Mapping[str, Any]) -> str | None:
    if event.get("signal"):
        return f"process {event.get('pid')} was ended by signal {event['signal']}"
    if event.get("exit_code"):
        return f"process {event.get('pid')} exited with status {event['exit_code']}"
    return None


def _happened(event: Mapping[str, Any]) -> str:
    data = ", ".join(f"{key}={value}" for key, value in (event.get("data") or {}).items())
    return _cut(f"{event.get('event_type')} ({event.get('severity')}){': ' if data else ''}{data}")
