# SPDX-License-Identifier: Apache-2.0
"""Records of the systemd journal: export format, JSON lines, and journal files through `journalctl`.

Journald vouches for the fields whose names start with an underscore; `SYSLOG_IDENTIFIER` and `MESSAGE` are the
sender's own words.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from observer.errors import CapabilityError, FormatError
from observer.report.sources.line import LogLine, Origin
from observer.report.sources.raw import MAX_LINE_BYTES, open_bytes

__all__ = ["entry_line", "looks_like_journal", "read_journal"]

_MAX_FIELD_BYTES = 1 << 20
"""A field longer than this is skipped; coredumps are stored in such fields."""

_BOOTS = 4
"""Boots read of a binary journal: the one that died, the one that shows it, and some in case the machine was started again."""
_KEPT = frozenset(
    [
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "SYSLOG_FACILITY",
        "_TRANSPORT",
        "_PID",
        "_UID",
        "_COMM",
        "_SYSTEMD_UNIT",
        "_BOOT_ID",
        "UNIT",
        "JOB_TYPE",
        "JOB_RESULT",
        "RESULT",
        "EXIT_CODE",
        "EXIT_STATUS",
        "COREDUMP_SIGNAL",
        "COREDUMP_SIGNAL_NAME",
        "COREDUMP_COMM",
        "MESSAGE_ID",
        "__REALTIME_TIMESTAMP",
        "__MONOTONIC_TIMESTAMP",
        "__SEQNUM",
        "CODE_FUNC",
    ]
)
_OWN_UNITS = ("systemd-journald.service", "systemd-logind.service", "systemd-oomd.service", "init.scope")


_VERBOSE = re.compile(
    rb"\w{3} \d{4}-\d\d-\d\d [\d:.]+ \S{1,8} \[s=[0-9a-f]+;i=[0-9a-f]+;b=(?P<b>[0-9a-f]+);m=(?P<m>[0-9a-f]+);t=(?P<t>[0-9a-f]+)"
)
"""First line of an entry of `journalctl -o verbose`: its cursor holds boot id and both clocks."""


def looks_like_journal(head: bytes) -> bool:
    """Tell from its first bytes whether a source is a journal in export, JSON or binary form."""
    return head.startswith((b"__CURSOR=", b"__REALTIME_TIMESTAMP=", b"LPKSHHRH")) or (
        (head.startswith((b"{", b"[\n", b"data: {")) and b'"__REALTIME_TIMESTAMP"' in head)
        or _VERBOSE.match(head) is not None
    )


def read_journal(path: Path | str, source: str) -> Iterator[LogLine]:
    """Yield the entries of a journal export, of JSON lines, of a `.journal` file or of a directory of them.

    Raises:
        CapabilityError: Binary journals were given and `journalctl` is not installed.
        FormatError: The source holds no journal entry, or `journalctl` refuses it.
    """
    if str(path) != "-" and (Path(path).is_dir() or _is_binary(Path(path))):
        yield from _through_journalctl(Path(path), source)
        return
    with open_bytes(path) as stream:
        yield from _numbered(_json_or_export(stream), source)


def _is_binary(path: Path) -> bool:
    with open_bytes(path) as stream:
        return stream.read(8) == b"LPKSHHRH"


def _through_journalctl(path: Path, source: str) -> Iterator[LogLine]:
    program = shutil.which("journalctl")
    if program is None:
        raise CapabilityError(
            f"{path} is a binary journal and journalctl is not installed",
            hint="export it where systemd is: journalctl --file FILE -o export > FILE.export",
            where={"path": str(path)},
        )
    selector = "--directory" if path.is_dir() else "--file"
    base = [program, selector, str(path), "--no-pager", "--quiet"]
    command = [*base, "-o", "export", "--all", *_last_boots(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - PIPE was asked for
        yield from _numbered(_entries(process.stdout), source)
        complaint = process.stderr.read(4096).decode("utf-8", "replace").strip()
        if process.wait() != 0:
            raise FormatError(f"journalctl cannot read {path}: {complaint}", where={"path": str(path)})


def _last_boots(base: list[str]) -> list[str]:
    """Matches for the last boots of a journal; none, and so all of it, where journalctl cannot list them."""
    listing = subprocess.run([*base, "--list-boots"], capture_output=True, check=False).stdout.decode(
        "ascii", "replace"
    )
    ids = [
        word
        for line in listing.splitlines()
        for word in line.split()[1:2]
        if re.fullmatch(r"[0-9a-f]{32}", word)
    ]
    return [f"_BOOT_ID={boot}" for boot in ids[-_BOOTS:]]


def _json_or_export(stream: IO[bytes]) -> Iterator[tuple[bytes, Mapping[str, str]]]:
    first = stream.readline(_MAX_FIELD_BYTES)
    if _VERBOSE.match(first):
        yield from _verbose(stream, first)
    elif not first.startswith((b"{", b"[", b"data: {")):
        yield from _entries(stream, first)
    else:
        for text in _objects(stream, first):
            if fields := _json_entry(text):
                yield text, fields


def _objects(stream: IO[bytes], line: bytes) -> Iterator[bytes]:
    """The JSON objects of a stream: one a line, behind `data: ` as the gateway sends them, or one over many lines."""
    held: list[bytes] = []
    while line:
        text = line.strip()
        if held or text == b"{":
            held.append(line)
            if text in (b"}", b"},"):
                yield b"".join(held).strip().rstrip(b",")
                held = []
        elif text not in (b"[", b"]"):
            yield text.removeprefix(b"data: ").rstrip(b",")
        line = stream.readline(_MAX_FIELD_BYTES)


def _verbose(stream: IO[bytes], line: bytes) -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Entries of `journalctl -o verbose`; of a value of several lines the further ones are indented more."""
    raw: list[bytes] = []
    fields: dict[str, str] = {}
    name = ""
    while line:
        if found := _VERBOSE.match(line):
            if fields:
                yield b"".join(raw).rstrip(b"\n"), fields
            raw, name = [], ""
            fields = {"_BOOT_ID": found["b"].decode()}
            fields["__MONOTONIC_TIMESTAMP"] = str(int(found["m"], 16))
            fields["__REALTIME_TIMESTAMP"] = str(int(found["t"], 16))
        elif (field := line.strip().partition(b"="))[1] and re.fullmatch(rb"[A-Z_][A-Z0-9_]*", field[0]):
            name = field[0].decode() if field[0].decode() in _KEPT else ""
            if name:
                fields[name] = field[2].decode("utf-8", "replace")
        elif name:
            fields[name] += "\n" + line.strip().decode("utf-8", "replace")
        raw.append(line)
        line = stream.readline(_MAX_FIELD_BYTES)
    if fields:
        yield b"".join(raw).rstrip(b"\n"), fields


def _json_entry(line: bytes) -> dict[str, str]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entry, dict):
        return {}
    return {key: _json_text(value) for key, value in entry.items() if key in _KEPT}


def _json_text(value: object) -> str:
    """Journald prints a field that is no UTF-8 as a list of byte values."""
    if isinstance(value, list) and all(isinstance(part, int) and 0 <= part < 256 for part in value):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def _entries(stream: IO[bytes], first: bytes = b"") -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Split an export stream; the raw bytes of an entry are all of its kept field lines, in order."""
    fields: dict[str, str] = {}
    raw: list[bytes] = []
    line = first or stream.readline(MAX_LINE_BYTES)
    while line:
        if line == b"\n":
            if fields:
                yield b"".join(raw), fields
            fields, raw = {}, []
        else:
            name, text, consumed = _field(stream, line)
            if name in _KEPT:
                fields[name] = text
                raw.append(consumed)
        line = stream.readline(MAX_LINE_BYTES)
    if fields:
        yield b"".join(raw), fields


def _field(stream: IO[bytes], line: bytes) -> tuple[str, str, bytes]:
    """Read one field: `NAME=value`, or `NAME`, a 64-bit little-endian length, that many bytes, a line end."""
    name, equals, value = line.rstrip(b"\n").partition(b"=")
    if equals:
        return name.decode("ascii", "replace"), value.decode("utf-8", "replace"), line
    size = int.from_bytes(stream.read(8), "little")
    if size > _MAX_FIELD_BYTES:
        _skip(stream, size + 1)
        return "", "", line
    data = stream.read(size)
    stream.read(1)
    return name.decode("ascii", "replace"), data.decode("utf-8", "replace"), line + data


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0 and (piece := stream.read(min(size, _MAX_FIELD_BYTES))):
        size -= len(piece)


def _numbered(entries: Iterator[tuple[bytes, Mapping[str, str]]], source: str) -> Iterator[LogLine]:
    number = 0
    for number, (raw, fields) in enumerate(entries, 1):
        yield entry_line(number, raw, fields, source)
    if number == 0:
        raise FormatError(
            f"{source} holds no journal entry", hint="export it with: journalctl -o export", where={}
        )


def entry_line(number: int, raw: bytes, fields: Mapping[str, str], source: str) -> LogLine:
    """One entry as a line, by its fields."""
    priority = fields.get("PRIORITY", "")
    return LogLine(
        number=number,
        raw=raw,
        text=fields.get("MESSAGE", ""),
        origin=_origin(fields),
        source=source,
        ident=fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM", ""),
        mono_us=_integer(fields.get("__MONOTONIC_TIMESTAMP")),
        wall_us=_integer(fields.get("__REALTIME_TIMESTAMP")),
        boot=fields.get("_BOOT_ID", ""),
        priority=int(priority) if priority.isdigit() and int(priority) < 8 else None,
        fields=fields,
        paired=True,
    )


def _origin(fields: Mapping[str, str]) -> Origin:
    if fields.get("_TRANSPORT") == "kernel":
        facility = fields.get("SYSLOG_FACILITY", "0")
        return Origin.KERNEL if facility in ("", "0") else Origin.USER
    unit = fields.get("_SYSTEMD_UNIT", "")
    if (
        unit in _OWN_UNITS
        or (fields.get("_PID") == "1" and fields.get("_UID", "0") == "0")
        or unit.startswith("systemd-")
    ):
        return Origin.SYSTEMD
    if fields.get("_TRANSPORT") == "driver":
        return Origin.SYSTEMD
    return Origin.USER


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and len(text) < 20 else None
