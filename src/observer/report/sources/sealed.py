# SPDX-License-Identifier: Apache-2.0
"""Event logs of the agents (sealed, of the original form, or plain EventRecords) as lines with their true speakers.

A kernel message in such a log is as good as the kernel's, for the agent took it from the ring buffer; the same words in a
journal entry of a program are that program's. What the agent saw itself has the origin `agent`.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from observer.errors import FormatError, NotFoundError
from observer.evidence import log_files, plain_files
from observer.report.sources.evtx import read_event_xml
from observer.report.sources.line import LogLine, Origin
from observer.report.sources.raw import MAX_LINE_BYTES
from observer.report.sources.stamps import parse_rfc3339
from observer.report.sources.text import TextDecoder

__all__ = ["MOST_BYTES", "looks_like_event_log", "read_event_log"]

MOST_BYTES = 128 << 20
"""Bytes at the end of a log that are weighed; what ended a machine does not stand hundreds of thousands of events before."""
IDENTITY = frozenset({"boot_id", "hostname", "machine_guid", "machine_id", "peer_origin"})
"""Attributes that every event has."""
_FACTS = 600
_LINE_BYTES = 1 << 20
_SEEN = 4096
"""Kernel lines remembered, so that the journal's copy of one is not a second one."""
_MANAGER_UNITS = ("systemd-journald.service", "systemd-logind.service", "systemd-oomd.service", "init.scope")
_WINDOWS = ("provider", "event_id", "channel", "level", "record_id")


def looks_like_event_log(head: bytes) -> bool:
    """Tell from its first bytes whether a file is an agent's event log of any form."""
    line = head.lstrip()[:4096]
    return line.startswith((b'{"seq":', b'{"event":{')) or (
        line.startswith(b'{"timestamp":') and b'"source":' in line and b'"message":' in line
    )


def read_event_log(path: Path, source: str) -> Iterator[LogLine]:
    """Yield the events of a log with all its rotated files, oldest first.

    Raises:
        NotFoundError: Nothing of the log is there.
        FormatError: No line of it is an event.
    """
    files = log_files(path)
    if not files:
        raise NotFoundError(f"no such log file: {path}", hint="check the path", where={"path": str(path)})
    reader = _EventReader(source)
    with tempfile.TemporaryDirectory(prefix="observer-why-") as scratch:
        plain, _ = plain_files(files, Path(scratch))
        unread = sum(file.stat().st_size for file in plain) - MOST_BYTES
        for file in plain:
            size = file.stat().st_size
            if unread >= size:
                reader.skip(file, size)
            else:
                yield from reader.file(file, max(0, unread))
            unread -= size
    if not reader.events:
        raise FormatError(f"{path} holds no event", hint="give an agent's log", where={"path": str(path)})


class _EventReader:
    """Turns lines of an event log into `LogLine`s, remembering the runs and kernel lines it has seen."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._number = 0
        self._kernel: deque[tuple[str, str]] = deque(maxlen=_SEEN)
        self._known: set[tuple[str, str]] = set()
        self._text = TextDecoder(source)
        self._boot = ""  # of the agent's run that is being read: the collector's clocks count in it
        self.events = 0
        self.unread = 0

    def file(self, path: Path, unread: int) -> Iterator[LogLine]:
        """The events of one file after its first `unread` bytes."""
        self.skip(path, unread)
        with path.open("rb") as stream:
            stream.seek(unread)
            if unread:
                stream.readline()
                self._number += 1
            while raw := stream.readline(_LINE_BYTES):
                yield from self.line(raw.rstrip(b"\r\n"))

    def skip(self, path: Path, size: int) -> None:
        """Count the lines of what is not read, so that the numbers of the others are right."""
        self.unread += size
        with path.open("rb") as stream:
            while size > 0 and (piece := stream.read(min(size, 1 << 20))):
                self._number += piece.count(b"\n")
                size -= len(piece)

    def line(self, raw: bytes) -> Iterator[LogLine]:
        self._number += 1
        try:
            outer = json.loads(raw)
        except (ValueError, RecursionError):
            return
        if not isinstance(outer, dict) or "kind" in outer:
            return
        event = outer.get("event", outer)
        if not isinstance(event, dict) or "message" not in event:
            return
        self.events += 1
        seq = outer.get("seq")
        number = seq if isinstance(seq, int) else self._number
        attributes = _attributes(event)
        sealed = _event_bytes(raw)
        boot = attributes.get("boot_id", "").replace("-", "")
        if event.get("type") == "agent.start" or not self._boot:
            self._boot = boot
        base = LogLine(
            number=number,
            raw=sealed,
            text=str(event["message"])[:MAX_LINE_BYTES],
            origin=Origin.AGENT,
            source=self._source,
            ident=str(event.get("type") or event.get("category") or ""),
            mono_us=_boottime_us(event, own_boot=boot == self._boot),
            wall_us=_wall_us(event),
            # A host outlives its guests: its boots are none of theirs, and what it saw belongs to the guest's boot that died.
            boot="" if "machine_guid" in attributes else boot,
            fields=attributes,
        )
        yield from self._speaker(base, event, attributes)

    def _speaker(
        self, base: LogLine, event: Mapping[str, Any], attributes: Mapping[str, str]
    ) -> Iterator[LogLine]:
        kind, source = str(event.get("type", "")), str(event.get("source", ""))
        if kind == "kernel.message" or (not kind and source == "kernel.kmsg"):
            yield from self._from_kernel(base, attributes, raw_form=not kind)
        elif kind == "kernel.pstore":
            yield from self._from_pstore(base, attributes)
        elif kind == "journal.entry" or (not kind and source == "systemd.journal"):
            line = _from_journal(base, attributes)
            if line.origin is not Origin.KERNEL or (line.boot, line.text) not in self._known:
                yield line
        elif source == "EventLog":
            yield from _from_windows(base, attributes)
        else:
            yield replace(base, text=f"{base.text} {_facts(attributes)}".rstrip())

    def _from_kernel(
        self, base: LogLine, attributes: Mapping[str, str], *, raw_form: bool
    ) -> Iterator[LogLine]:
        if raw_form:  # the original agent kept the whole record, header and all
            for one in self._text.decode(base.number, base.text.encode()):
                yield replace(one, raw=base.raw, wall_us=base.wall_us, boot=base.boot, number=base.number)
            return
        own = attributes.get("facility", "kern") == "kern"
        if own:
            self._remember((base.boot, base.text))
        yield replace(
            base,
            origin=Origin.KERNEL if own else Origin.USER,
            ident="kernel" if own else "",
            context=attributes.get("caller", ""),
            priority=_level(attributes.get("level", "")),
            fields={},
        )

    def _from_pstore(self, base: LogLine, attributes: Mapping[str, str]) -> Iterator[LogLine]:
        """The kernel's own last words: text of the ring buffer, written by the kernel as it died."""
        boot = attributes.get("previous_boot_id", attributes.get("boot_id", "")).replace("-", "")
        for text in attributes.get("text", "").split("\n"):
            for one in self._text.decode(base.number, text.encode()):
                yield replace(one, raw=base.raw, wall_us=None, boot=boot, number=base.number)

    def _remember(self, place: tuple[str, str]) -> None:
        if len(self._kernel) == self._kernel.maxlen:
            self._known.discard(self._kernel[0])
        self._kernel.append(place)
        self._known.add(place)


def _from_journal(base: LogLine, attributes: Mapping[str, str]) -> LogLine:
    unit, transport = attributes.get("unit", ""), attributes.get("transport", "")
    if transport == "kernel":
        origin = Origin.KERNEL
    elif (
        transport == "driver"
        or unit in _MANAGER_UNITS
        or unit.startswith("systemd-")
        or (attributes.get("pid") == "1" and attributes.get("uid", "0") == "0")
    ):
        origin = Origin.SYSTEMD
    else:
        origin = Origin.USER
    identifier = attributes.get("identifier") or attributes.get("comm") or ""
    return replace(
        base,
        origin=origin,
        ident=identifier,
        priority=_level(attributes.get("priority", "")),
        fields=_journal_fields(attributes),
    )


def _journal_fields(attributes: Mapping[str, str]) -> dict[str, str]:
    names = {
        "unit": "_SYSTEMD_UNIT",
        "message_id": "MESSAGE_ID",
        "unit_result": "UNIT_RESULT",
        "exit_status": "EXIT_STATUS",
    }
    return {names[key]: value for key, value in attributes.items() if key in names}


def _from_windows(base: LogLine, attributes: Mapping[str, str]) -> Iterator[LogLine]:
    text = base.text
    if text.lstrip().startswith("<Event"):
        found = list(read_event_xml(base.number, text.encode(), base.source))
        yield from (
            replace(one, raw=base.raw, number=base.number, wall_us=one.wall_us or base.wall_us)
            for one in found
        )
        return
    fields = {key: value for key, value in attributes.items() if key not in _WINDOWS}
    fields |= {"provider": attributes.get("provider", "").lower(), "event_id": attributes.get("event_id", "")}
    fields["channel"] = attributes.get("channel", "")
    shown = " ".join(f"{key}={value}" for key, value in sorted(attributes.items()))
    yield replace(
        base,
        origin=Origin.HOST,
        text=f"{attributes.get('provider', '')}/{fields['event_id']} {shown} {text}"[:4096],
        ident=attributes.get("provider", ""),
        boot="",
        mono_us=None,
        fields=fields,
    )


def _facts(attributes: Mapping[str, str]) -> str:
    """The attributes that say something of the event itself, as text."""
    shown = (f"{key}={value}" for key, value in sorted(attributes.items()) if key not in IDENTITY)
    return " ".join(shown)[:_FACTS]


def _event_bytes(raw: bytes) -> bytes:
    """The exact bytes that were sealed, whose digest is cited; the whole line where it is a bare event."""
    begin, end = raw.find(b'"event":{'), raw.rfind(b'},"')
    if raw.startswith((b'{"seq":', b'{"event":')) and 0 <= begin < end:
        tail = raw[end + 1 :]
        if tail.startswith((b',"chainHash":"', b',"hmac":"')):
            return raw[begin + 8 : end + 1]
    return raw


def _attributes(event: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in event.get("attributes") or ():
        if isinstance(one, dict) and isinstance(one.get("key"), str):
            found.setdefault(one["key"], str(one.get("value", "")))
    return found


def _boottime_us(event: Mapping[str, Any], *, own_boot: bool) -> int | None:
    """When it happened on the boot clock, by the feed's own reading where it has one.

    The feed's clock stands still while the machine sleeps; what it has slept is the distance of the collector's two.
    Of an earlier boot the collector's clocks know nothing.
    """
    clocks, seen = event.get("collector"), event.get("observed")
    clocks = clocks if isinstance(clocks, dict) else {}
    boottime, monotonic = (clocks.get(key) for key in ("boottime_ns", "monotonic_ns"))
    reading = seen.get("monotonic_ns") if isinstance(seen, dict) else None
    if isinstance(reading, int):
        slept = (
            boottime - monotonic
            if own_boot and isinstance(boottime, int) and isinstance(monotonic, int)
            else 0
        )
        return (reading + max(0, slept)) // 1000
    return boottime // 1000 if own_boot and isinstance(boottime, int) and boottime > 0 else None


def _wall_us(event: Mapping[str, Any]) -> int | None:
    stamp = event.get("timestamp")
    return parse_rfc3339(stamp) if isinstance(stamp, str) else None


def _level(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) == 1 and int(text) < 8 else None
