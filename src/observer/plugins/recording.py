# SPDX-License-Identifier: Apache-2.0
"""Writes a plugin's recording and reads it back: code, wiring, calls in and out. Format: docs/spec/plugin-recording.md."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer import _native, clock
from observer.errors import CapabilityError, FormatError, IntegrityError
from observer.model.event import EventSeverity
from observer.plugins.functions import HostFunction, errnos
from observer.plugins.options import PluginLimits
from observer.plugins.ring import Call, read_calls
from observer.trace.calls import clean_text, encode
from observer.trace.reading import Recording
from observer.trace.recorder import TraceRecorder

__all__ = ["Invocation", "PluginRecorder", "PluginRecording", "SOURCE"]

SOURCE: Final = "wasi"
_FORMAT: Final = 1


class PluginRecorder(TraceRecorder):
    """The open end of a plugin's recording."""

    def attach(self, name: str, content: bytes) -> None:
        """Keep these bytes, whole, under a name."""
        digest = hashlib.sha256(content).hexdigest()
        line = {"type": "attachment", "name": clean_text(name), "bytes": len(content), "sha256": digest}
        self._open_writer().append_blob(encode(line), content)

    def declare_plugin(self, facts: Mapping[str, Any]) -> None:
        """Seal what the plugin is and how it is run."""
        self._open_writer().append_event(encode({"type": "plugin", "format": _FORMAT, **facts}))

    def declare_table(self, functions: tuple[HostFunction, ...], denied: Mapping[str, str]) -> None:
        """Seal the table by which the calls are decoded."""
        rows = [function.table_row() | _reason(denied.get(function.label)) for function in functions]
        line: dict[str, Any] = {"type": "call_table", "functions": rows, "errnos": list(errnos())}
        line |= {"pid": os.getpid(), "tid": threading.get_native_id()}
        self._open_writer().append_event(encode(line))

    def append_typed(self, calls: bytes) -> int:
        """Append calls as the ring held them; returns the record number of the first."""
        return self._open_writer().append_typed(calls)

    def mark(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Seal the beginning or the end of a call into the plugin (`plugin_invoke`, `plugin_return`)."""
        line = {"type": kind, **facts, "at_ns": clock.monotonic_ns(), "wall_ns": clock.wall_ns()}
        self._open_writer().append_event(encode(line))

    def tell_state(self, before: str, after: str, reason: str = "") -> None:
        """Seal one step of the plugin's life."""
        severity = EventSeverity.ERROR if after == "failed" else EventSeverity.INFO
        data = ({"from": before} if before else {}) | {"to": after} | ({"reason": reason} if reason else {})
        self.record_event("plugin_state", severity, {**data, "plugin_id": self.start["plugin_id"]})


def _reason(text: str | None) -> dict[str, str]:
    return {} if text is None else {"reason": text}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call into the plugin.

    Attributes:
        export: What was called.
        values: With what.
        first_call: Record number of the first host call it could make.
        ended: The `plugin_return` line, or None when the recorder was killed before it returned.
    """

    export: str
    values: tuple[int | float, ...]
    first_call: int
    ended: Mapping[str, Any] | None


class PluginRecording:
    """A plugin's recording, opened for replay.

    Attributes:
        recording: The recording.
        facts: Its `plugin` line.
        invocations: The calls into the plugin, in order.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            CapabilityError: It was not made by the plugin recorder. [OBS200]
            FormatError: It is not a recording, or damaged in its form. [OBS500]
        """
        self.recording = Recording(path)
        if self.recording.start.source != SOURCE:
            raise CapabilityError(
                f"the recording of {self.recording.start.source!r} calls in {path} cannot be replayed",
                hint="replay needs a recording made with the replayable engine: 'observer plugin run' for plugins",
                where={"path": str(path)},
            )
        self.facts: Mapping[str, Any] = {}
        self._attachments: list[Mapping[str, Any]] = []
        self.invocations: list[Invocation] = []
        self._index()
        self._reader = _native.RecordingReader(str(path))

    def _index(self) -> None:
        started: Mapping[str, Any] | None = None
        for line in self.recording.lines():
            event = line.event
            match event.get("type"):
                case "plugin":
                    self.facts = event
                case "attachment":
                    self._attachments.append(event)
                case "plugin_invoke":
                    self._close(started, None)
                    started = event
                case "plugin_return":
                    self._close(started, event)
                    started = None
        self._close(started, None)
        if not self.facts:
            raise FormatError(
                "the recording ends before it says what plugin ran", hint="there is nothing to replay"
            )

    def _close(self, started: Mapping[str, Any] | None, ended: Mapping[str, Any] | None) -> None:
        if started is None:
            return
        try:
            values = tuple(started["values"])
            self.invocations.append(
                Invocation(str(started["export"]), values, int(started["first_call"]), ended)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"malformed plugin_invoke: {error!r}") from error

    @property
    def limits(self) -> PluginLimits:
        """What the plugin was allowed to use."""
        try:
            return PluginLimits(**self.facts["limits"])
        except (KeyError, TypeError) as error:
            raise FormatError(f"malformed plugin line: {error!r}") from error

    def attachment(self, name: str) -> bytes:
        """Return the bytes that were kept under a name, checked against their sealed digest.

        Raises:
            FormatError: There are none. [OBS500]
            IntegrityError: They are not what was sealed. [OBS400]
        """
        pieces = self._pieces()
        for line in self._attachments:
            content = b""
            while len(content) < int(line["bytes"]):
                piece = next(pieces, None)
                if piece is None:
                    raise FormatError(
                        f"the attachment {line['name']} is cut off", hint="the recorder was killed early"
                    )
                content += piece
            if line["name"] == name:
                if hashlib.sha256(content).hexdigest() != line["sha256"]:
                    raise IntegrityError(f"the attachment {name} is not what was sealed")
                return content
        raise FormatError(f"the recording holds no {name}")

    def _pieces(self) -> Iterator[bytes]:
        return (payload for kind, _, payload in self._chunks() if kind == "blob")

    def _chunks(self) -> Iterator[tuple[str, int, bytes]]:
        index = 0
        while (chunk := self._reader.chunk(index)) is not None:
            yield chunk
            index += 1

    def calls(self) -> Iterator[Call]:
        """Yield every host call that was sealed, in order, each chunk checked against its digest."""
        for kind, _, payload in self._chunks():
            if kind == "typed":
                yield from read_calls(payload)

    def call_count(self) -> int:
        """Return how many host calls are sealed."""
        return int(self.recording.stats()["calls"])

    def functions(self) -> list[str]:
        """Return the labels of the functions by their number in the calls."""
        for line in self.recording.lines():
            if line.event.get("type") == "call_table":
                return [str(row["name"]) for row in line.event["functions"]]
        return []

    def final_state(self) -> Mapping[str, Any] | None:
        """Return the `plugin_end` line's state, or None when the recorder was killed."""
        for line in self.recording.lines():
            if line.event.get("type") == "plugin_end":
                state: Mapping[str, Any] = line.event["state"]
                return state
        return None

    def describe(self) -> str:
        """Return what ran, for people."""
        return json.dumps(self.facts.get("name", "?"))
