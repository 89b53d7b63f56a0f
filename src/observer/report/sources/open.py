# SPDX-License-Identifier: Apache-2.0
"""One door to all readers: what kind of source a path is, and the lines in it."""

from __future__ import annotations

import enum
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from observer.report.sources.evtx import looks_like_event_json, read_evtx
from observer.report.sources.evtx_text import looks_like_event_csv, looks_like_event_text
from observer.report.sources.journal import looks_like_journal, read_journal
from observer.report.sources.line import LogLine
from observer.report.sources.raw import open_bytes, read_lines
from observer.report.sources.sealed import looks_like_event_log, read_event_log
from observer.report.sources.text import read_text

__all__ = ["SourceKind", "read_source"]


class SourceKind(enum.StrEnum):
    """What the caller says a source is; text kinds are still told apart line by line."""

    KMSG = "kmsg"
    JOURNAL = "journal"
    DMESG = "dmesg"
    SYSLOG = "syslog"
    EVTX = "evtx"
    LOG = "log"
    PLAIN = "plain"


def read_source(kind: SourceKind, path: Path | str) -> Iterator[LogLine]:
    """Yield the lines of one source in the order they stand in it.

    Raises:
        NotFoundError, UsageError, FormatError, CapabilityError: As the readers say.
    """
    label = f"{kind.value}:{'-' if str(path) == '-' else Path(path).name}"
    if kind is SourceKind.LOG:
        return read_event_log(Path(path), label)
    if kind is SourceKind.EVTX:
        return read_evtx(path, label)
    if str(path) == "-":
        return _standard_input(kind, label)
    if Path(path).is_dir():
        return read_journal(path, label)
    if kind is SourceKind.JOURNAL and not _is_plain_journal_text(path):
        return read_journal(path, label)
    if kind is SourceKind.PLAIN and Path(path).is_file():
        return _sniffed(path, label)
    return read_text(read_lines(path), label)


def _is_plain_journal_text(path: Path | str) -> bool:
    """`journalctl` without `-o` prints syslog-like text; it is read as such when it is given as a journal."""
    with open_bytes(path) as stream:
        return not looks_like_journal(stream.read(4096))


def _sniffed(path: Path | str, label: str) -> Iterator[LogLine]:
    with open_bytes(path) as stream:
        head = stream.read(4096)
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if (
        head.startswith(b"ElfFile\x00")
        or text.startswith(b"<Event")
        or (text.startswith(b"<?xml") and b"<Event" in head)
        or looks_like_event_text(head)
        or looks_like_event_csv(text)
        or looks_like_event_json(head)
    ):
        return read_evtx(path, label)
    if looks_like_journal(head):
        return read_journal(path, label)
    if looks_like_event_log(head):
        return read_event_log(Path(path), label)
    return read_text(read_lines(path), label)


def _standard_input(kind: SourceKind, label: str) -> Iterator[LogLine]:
    stream = open_bytes("-")
    head = stream.peek(4096) if isinstance(stream, io.BufferedReader) else b""
    if kind is SourceKind.JOURNAL or looks_like_journal(head):
        return read_journal("-", label)
    lines = read_lines("-")
    first = next(lines, b"")
    return read_text(chain([first] if first else [], lines), label)
