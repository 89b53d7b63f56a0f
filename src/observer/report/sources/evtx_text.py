# SPDX-License-Identifier: Apache-2.0
"""Windows events as people paste them: Event Viewer's copy and CSV, `Get-WinEvent | Format-List`, `wevtutil /f:text`.

The block's own keys (provider, number, level, date) are structure; the description is text and is searched only where a rule for
exactly that provider and number asks for it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from observer.report.sources.raw import read_lines
from observer.report.sources.stamps import parse_rfc3339

__all__ = ["looks_like_event_csv", "looks_like_event_text", "read_blocks", "read_csv"]

_LOG_NAMES = "Log Name|Protokollname|Nom du journal|Nombre de registro|Nome registro"
"""How the viewer begins its copy of an event, in English, German, French, Spanish and Italian."""
_BEGINS = re.compile(rf"\s*(?:Event\[\d+\]:?\s*|(?:{_LOG_NAMES}|TimeCreated|ProviderName)\s*:.*)$")
_KEY = re.compile(r"\s*([^\W\d_][\w .\u2019'-]{1,30}?)\s*:\s*(.*)$")
_NAMES = {
    "log name": "Channel", "logname": "Channel", "source": "Provider.Name", "providername": "Provider.Name",
    "provider name": "Provider.Name", "event id": "EventID", "eventid": "EventID", "id": "EventID",
    "date": "Date", "timecreated": "Date", "date and time": "Date", "level": "Level",
    "quelle": "Provider.Name", "origen": "Provider.Name", "origine": "Provider.Name", "ereignis-id": "EventID",
    "id de l\u2019événement": "EventID", "id de l'événement": "EventID", "id. del evento": "EventID", "id evento": "EventID",
    "datum": "Date", "fecha": "Date", "data": "Date", "ebene": "Level", "niveau": "Level", "nivel": "Level", "livello": "Level",
    "protokollname": "Channel", "nom du journal": "Channel", "nombre de registro": "Channel", "nome registro": "Channel",
    "beschreibung": "Description", "descripción": "Description", "descrizione": "Description",
    "leveldisplayname": "Level", "message": "Description", "description": "Description", "recordid": "EventRecordID",
}  # fmt: skip
_LEVELS = {"critical": "1", "error": "2", "warning": "3", "information": "4", "verbose": "5"}
_DATES = (
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
)
_MAX_LINES = 400


def looks_like_event_text(head: bytes) -> bool:
    """Tell from its first bytes whether a source holds such blocks."""
    text = head.decode("utf-8", "replace")
    return re.search(
        rf"(?mi)^\s*(?:{_LOG_NAMES}|ProviderName|Event\[\d+\]:?)\s*(?::|$)", text
    ) is not None and any(
        _NAMES.get(found[1].lower()) == "EventID"
        for found in re.finditer(r"(?m)^\s*([^\n:]{2,20}?)\s*:\s*\d+", text)
    )


def looks_like_event_csv(head: bytes) -> bool:
    """Tell from its first line whether a source is events as Event Viewer or `Export-Csv` save them."""
    first = head.splitlines()[0].lower() if head else b""
    return (
        b"," in first
        and (b"providername" in first or b"source" in first)
        and (re.search(rb"(?:^|[\",])(?:event id|id|eventid)(?:[\",]|$)", first) is not None)
    )


def read_csv(path: Path | str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield each row, its cells joined by commas, and its fields; Event Viewer's description has no heading."""
    lines = (
        line.decode("utf-8", "replace").lstrip("\ufeff").replace("\0", "") + "\n" for line in read_lines(path)
    )
    for row in csv.DictReader(lines, restkey="Message"):
        cells = [
            one for value in row.values() for one in (value if isinstance(value, list) else [value or ""])
        ]
        fields = {
            _NAMES[name.strip().lower()]: (
                " ".join(value) if isinstance(value, list) else value or ""
            ).strip()
            for name, value in row.items()
            if name and name.strip().lower() in _NAMES
        }
        if fields.get("EventID"):
            yield ",".join(cells).encode(), _finish(fields)


def read_blocks(path: Path | str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield each block's raw bytes and its fields, named as in the XML form."""
    raw: list[bytes] = []
    fields: dict[str, str] = {}
    last = ""
    for line in read_lines(path):
        text = line.decode("utf-8", "replace").lstrip("\ufeff")
        if _BEGINS.match(text) and (fields.get("EventID") or len(raw) > _MAX_LINES):
            yield b"\n".join(raw), _finish(fields)
            raw, fields, last = [], {}, ""
        raw.append(line)
        last = _take(text, fields, last)
    if fields.get("EventID"):
        yield b"\n".join(raw), _finish(fields)


def _take(text: str, fields: dict[str, str], last: str) -> str:
    """Put one line into the fields; what has no known key continues the description."""
    found = _KEY.match(text)
    name = _NAMES.get(found[1].strip().lower(), "") if found else ""
    if found and name and not (last == "Description" and name in fields):
        fields[name] = found[2].strip()
        return name
    if last == "Description" and text.strip():
        fields["Description"] = f"{fields.get('Description', '')} {text.strip()}".strip()[:4000]
    return last


def _finish(fields: dict[str, str]) -> dict[str, str]:
    fields["Level"] = _LEVELS.get(fields.get("Level", "").lower(), fields.get("Level", ""))
    moment = _date(fields.pop("Date", ""))
    if moment:
        fields["TimeCreated.SystemTime"] = moment
    return fields


def _date(text: str) -> str:
    """The date in RFC 3339; empty where it cannot be read. A date without a zone is taken as UTC."""
    if parse_rfc3339(text) is not None:
        return text
    for form in _DATES:
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC).isoformat()
        except ValueError:
            continue
    return ""
