# SPDX-License-Identifier: Apache-2.0
"""Windows event records: `.evtx` files through the `evtx` extra, and exported XML or JSON text without it.

Only what the record's structure says is used: provider, event number, channel, named data. The rendered message, which is
localised and may hold text from a guest, is kept as text and decides nothing by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from observer.errors import CapabilityError, FormatError
from observer.report.sources.evtx_text import (
    looks_like_event_csv,
    looks_like_event_text,
    read_blocks,
    read_csv,
)
from observer.report.sources.line import LogLine, Origin
from observer.report.sources.raw import open_bytes
from observer.report.sources.stamps import parse_rfc3339

__all__ = ["looks_like_event_json", "read_event_xml", "read_evtx"]

_PIECE_BYTES = 65_536
_MAX_EVENT_BYTES = 1 << 20
_MAX_FAULTS = 10_000
_MAX_ARRAY_BYTES = 64 << 20
_EVENT_END = b"</Event>"
_POWERSHELL = {
    "ProviderName": "Provider.Name",
    "Id": "EventID",
    "LogName": "Channel",
    "RecordId": "EventRecordID",
}
_LEVELS = {"1": 2, "2": 3, "3": 4, "4": 6, "5": 7}
"""Windows event level to syslog severity; 0 (LogAlways) is informational."""


def looks_like_event_json(head: bytes) -> bool:
    """Tell from its first bytes whether a source holds Windows events as `evtx_dump` or `ConvertTo-Json` write them."""
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t[{")
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"[")) and (
        text.startswith(b'"Event"')
        or (b'"ProviderName"' in head and re.search(rb'"Id"\s*:', head) is not None)
    )


def read_evtx(path: Path | str, source: str) -> Iterator[LogLine]:
    """Yield the records of a Windows event log.

    Args:
        path: A binary `.evtx`, an XML export (`wevtutil qe /f:xml`) or JSON lines as `evtx_dump -o jsonl` writes.
        source: Label set on every line.

    Raises:
        CapabilityError: The file is binary and the `evtx` extra is not installed.
        FormatError: None of these formats.
    """
    with open_bytes(path) as stream:
        head = stream.read(_PIECE_BYTES)
    if head.startswith(b"ElfFile\x00"):
        yield from _binary(path, source)
        return
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text.startswith(b"{"):
        yield from _json_lines(path, source)
    elif text.startswith(b"["):
        yield from _json_array(path, source)
    elif b"<Event>" in text or b"<Event " in text or text.startswith(b"<"):
        yield from _xml(path, source)
    elif looks_like_event_csv(text):
        for number, (raw, fields) in enumerate(read_csv(path), 1):
            yield _line(number, raw, fields, source)
    elif looks_like_event_text(text):
        for number, (raw, fields) in enumerate(read_blocks(path), 1):
            yield _line(number, raw, fields, source)
    else:
        raise FormatError(
            f"{path} is no Windows event log",
            hint="give an .evtx, XML or JSON lines",
            where={"path": str(path)},
        )


def _binary(path: Path | str, source: str) -> Iterator[LogLine]:
    try:
        from evtx import PyEvtxParser  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise CapabilityError(
            "reading .evtx files needs the evtx extra",
            hint="pip install 'forgeone-observer[evtx]'",
            where={"path": str(path)},
        ) from error
    try:
        records: Iterator[Any] = iter(PyEvtxParser(str(path)).records_json())
    except (OSError, RuntimeError) as error:
        raise _damaged(path, error) from error
    faults = found = 0
    while faults <= _MAX_FAULTS:
        try:
            record = next(records)
            event = json.loads(record["data"])
        except StopIteration:
            break
        except (RuntimeError, ValueError):  # one record is damaged; the ones after it need not be
            faults += 1
            continue
        found += 1
        yield _line(int(record["event_record_id"]), record["data"].encode(), _from_json(event), source)
    if faults and not found:
        raise _damaged(path, f"none of its {faults} records can be read")


def _damaged(path: Path | str, what: object) -> FormatError:
    return FormatError(
        f"{path} is damaged: {what}",
        hint="export it again with: wevtutil epl LOG FILE",
        where={"path": str(path)},
    )


def _json_lines(path: Path | str, source: str) -> Iterator[LogLine]:
    with open_bytes(path) as stream:
        number = 0
        while raw := stream.readline(_MAX_EVENT_BYTES):
            number += 1
            try:
                event = json.loads(raw)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield _line(number, raw.rstrip(b"\r\n"), _from_json(event), source)


def _json_array(path: Path | str, source: str) -> Iterator[LogLine]:
    """What `ConvertTo-Json` writes: one array, which has to be held as a whole and is therefore limited."""
    with open_bytes(path) as stream:
        data = stream.read(_MAX_ARRAY_BYTES + 1)
    try:
        events = json.loads(data.lstrip(b"\xef\xbb\xbf")) if len(data) <= _MAX_ARRAY_BYTES else None
    except (ValueError, RecursionError):
        events = None
    if not isinstance(events, list):
        raise FormatError(
            f"{path} is no array of events, or too large",
            hint="export JSON lines or XML",
            where={"path": str(path)},
        )
    for number, event in enumerate(events, 1):
        if isinstance(event, dict):
            yield _line(number, json.dumps(event, sort_keys=True).encode(), _from_json(event), source)


def _xml(path: Path | str, source: str) -> Iterator[LogLine]:
    number, held = 0, b""
    with open_bytes(path) as stream:
        while piece := stream.read(_PIECE_BYTES):
            held += piece
            while (end := held.find(_EVENT_END)) >= 0:
                raw, held = held[: end + len(_EVENT_END)], held[end + len(_EVENT_END) :]
                number += 1
                start = max(raw.find(b"<Event "), raw.find(b"<Event>"))
                if start >= 0:
                    yield from _xml_event(number, raw[start:], source)
            held = held[-_MAX_EVENT_BYTES:]


def read_event_xml(number: int, raw: bytes, source: str) -> Iterator[LogLine]:
    """The record in one `<Event>` element; nothing where it cannot be read."""
    yield from _xml_event(number, raw, source)


def _xml_event(number: int, raw: bytes, source: str) -> Iterator[LogLine]:
    if b"<!" in raw:  # a document type or entity has no place in an event; refusing it keeps the parser safe
        return
    try:
        root = ET.fromstring(re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b"", raw))  # noqa: S314 - see above
    except ET.ParseError:
        return
    fields: dict[str, str] = {}
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        for key, value in element.attrib.items():
            fields.setdefault(f"{name}.{key}", value)
        if name == "Data" or (element.text and element.text.strip() and not len(element)):
            key = element.attrib.get("Name") or (name if name != "Data" else f"param{_count(fields)}")
            fields.setdefault(key, (element.text or "").strip())
    yield _line(number, raw, fields, source)


def _count(fields: dict[str, str]) -> int:
    return 1 + sum(1 for key in fields if re.fullmatch(r"param\d+", key))


def _from_json(event: dict[str, Any]) -> dict[str, str]:
    """Flatten an event of `evtx_dump`; attributes stand under `#attributes`, values under `#text`."""
    fields: dict[str, str] = {}
    body = event.get("Event", event)
    stack: list[tuple[str, object]] = [("", body)]
    while stack and len(fields) < 500:
        name, value = stack.pop()
        if isinstance(value, dict):
            for key, part in value.items():
                if key == "#attributes" and isinstance(part, dict):
                    stack.extend((f"{name}.{inner}", deeper) for inner, deeper in part.items())
                else:
                    stack.append((name if key == "#text" else str(key), part))
        elif isinstance(value, list):
            stack.extend(
                (f"param{index}" if name == "Data" else name, part) for index, part in enumerate(value, 1)
            )
        elif value is not None:
            fields.setdefault(name, str(value))
    for name, known in _POWERSHELL.items():
        if known not in fields and name in fields:
            fields[known] = fields[name]
    return fields


def _line(number: int, raw: bytes, fields: dict[str, str], source: str) -> LogLine:
    provider = fields.get("Provider.Name") or fields.get("Provider.EventSourceName") or ""
    event_id = fields.get("EventID", "")
    stamp = fields.get("TimeCreated.SystemTime") or fields.get("SystemTime") or fields.get("TimeCreated", "")
    system = (
        "Provider.",
        "Execution.",
        "Correlation.",
        "EventID",
        "Security.",
        "Event.",
        "TimeCreated.",
        "Keywords",
        "Opcode",
    )
    shown = {key: value for key, value in fields.items() if not key.startswith(system)}
    text = " ".join([f"{provider}/{event_id}", *(f"{key}={value}" for key, value in sorted(shown.items()))])
    return LogLine(
        number=int(fields["EventRecordID"]) if fields.get("EventRecordID", "").isdigit() else number,
        raw=raw,
        text=text[:4096],
        origin=Origin.HOST,
        source=source,
        ident=provider,
        wall_us=_moment(stamp),
        priority=_LEVELS.get(fields.get("Level", ""), 6),
        fields={
            **fields,
            "provider": provider.lower(),
            "event_id": event_id,
            "channel": fields.get("Channel", ""),
        },
    )


def _moment(stamp: str) -> int | None:
    """A time in RFC 3339, or in milliseconds as older PowerShell writes it in JSON."""
    if found := re.search(r"/Date\((\d{12,14})\)", stamp):
        return int(found[1]) * 1000
    return parse_rfc3339(stamp) if stamp else None
