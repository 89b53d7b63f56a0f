# SPDX-License-Identifier: Apache-2.0
"""Writes exports to files that are whole or not there: under another name first, renamed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from observer import _native
from observer.errors import UsageError
from observer.export.content import SIGNALS, Content, batches, open_export
from observer.trace import Recording

__all__ = ["FORMATS", "Written", "write_file"]

FORMATS: Final = ("otlp-jsonl", "jsonl", "parquet", "perfetto")
_RECORDS: Final = 4096  # signals on one line
_LINE_BYTES: Final = 1 << 20  # of one line, about; readers hold a line in memory


@dataclass(slots=True)
class Written:
    """What came of an export to a file.

    Attributes:
        paths: The files; empty for stdout.
        records: Records in them, of all kinds.
        bytes: Their size.
        whole: False when it was interrupted: the files are valid and hold the beginning.
        redacted: Secrets taken out, by rule.
    """

    paths: tuple[Path, ...] = ()
    records: int = 0
    bytes: int = 0
    whole: bool = True
    redacted: dict[str, int] = field(default_factory=dict)


_Blocks = Iterator[tuple[int, bytes]]


def write_file(
    recording: Recording,
    form: str,
    target: Path | None,
    content: Content,
    *,
    force: bool = False,
    report: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Write a recording to a file; Ctrl-C ends it early, with a valid file.

    Args:
        recording: What to export.
        form: One of `FORMATS`.
        target: The file; a directory for `otlp-jsonl` gets one file per signal; None is stdout.
        content: What of the recording.
        force: Replace what is there.
        report: Called after each block.

    Raises:
        UsageError: Something is there already. [OBS100]
        StorageFull: The disk is full; nothing is left behind. [OBS301]
        IntegrityError: The recording is not what was sealed. [OBS4xx]
    """
    done = Written()
    with _Interruption() as interruption:
        for plan in _plans(recording, form, target, content):
            with _Part(plan.path, force=force) as part:
                for count, block in plan.blocks:
                    part.write(block)
                    done.records += count
                    done.bytes += len(block)
                    report(done)
                    if interruption.came:
                        done.whole = False
                        break
                part.write(plan.end())
                part.finish()
            done.redacted = plan.redacted()
            done.paths += () if plan.path is None else (plan.path,)
            if not done.whole:
                break
    return done


@dataclass(frozen=True, slots=True)
class _Plan:
    """A file to write.

    Attributes:
        path: Where; None for stdout.
        blocks: Its content, each block with the number of its records.
        redacted: Tells what was taken out so far.
        end: What makes a valid file of the blocks so far.
    """

    path: Path | None
    blocks: _Blocks
    redacted: Callable[[], dict[str, int]]
    end: Callable[[], bytes] = bytes


def _plans(recording: Recording, form: str, target: Path | None, content: Content) -> Iterator[_Plan]:
    trace_id = recording.start.trace_id
    if form == "jsonl":
        redactor = _native.SecretRedactor()
        blocks = _lines(recording)
        if content.redact:
            blocks = ((count, redactor.clean(block)) for count, block in blocks)
        yield _Plan(target, blocks, redactor.redacted)
    elif form == "parquet":
        table = _native.ParquetExporter(str(recording.path), trace_id.bytes, str(trace_id), content.redact)
        yield _Plan(target, iter(table.next_part, (0, b"")), table.redacted, table.finish)
    elif form == "perfetto":
        timeline = _native.PerfettoExporter(str(recording.path), trace_id.bytes, content.redact)
        yield _Plan(target, _until_empty(timeline.next_part), timeline.redacted)
    else:
        exporter = open_export(recording, content, as_json=True)
        if target is not None and target.is_dir():
            for kind in (name for name in SIGNALS if name in content.signals):
                yield _Plan(target / f"{kind}.jsonl", _otlp(exporter, (kind,)), exporter.redacted)
        else:
            yield _Plan(target, _otlp(exporter, content.signals), exporter.redacted)


def _until_empty(next_part: Callable[[], tuple[int, bytes]]) -> _Blocks:
    while (part := next_part())[0] or part[1]:
        yield part


def _otlp(exporter: _native.OtlpExporter, signals: tuple[str, ...]) -> _Blocks:
    for batch in batches(exporter, signals, _RECORDS, _LINE_BYTES):
        yield len(batch), batch.request(0, len(batch)) + b"\n"


def _lines(recording: Recording) -> _Blocks:
    """Yield the recording's own lines and calls, each as an object of JSON."""
    for line in recording.lines():
        kind = "recording" if line.event.get("type") == "trace_start" else "line"
        values = {"schema": "observer.export/1", "message_type": kind, "seq": line.sequence, **line.event}
        yield 1, json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    for text in recording.call_lines({"signals": True}):
        kind = "signal" if b'"signo":' in text and b'"syscall":' not in text else "call"
        yield 1, b'{"schema":"observer.export/1","message_type":"%s",' % kind.encode() + text[1:] + b"\n"


class _Interruption:
    """Notes Ctrl-C instead of obeying it at once, so that a block is written whole or not at all."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def _note(self, _number: int, _frame: object) -> None:
        self.came = True

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class _Part:
    """A file under construction; `finish` gives it its name, leaving without that removes it."""

    def __init__(self, path: Path | None, *, force: bool) -> None:
        self._path = path
        self._part: Path | None = None
        self._good = 0
        if path is None:
            self._file: BinaryIO = sys.stdout.buffer
            return
        if path.exists() and not force:
            raise UsageError(f"{path} is there already", hint="choose another name, or --force to replace it")
        self._part = path.with_name(f"{path.name}.part")
        # A copy of evidence is as private as the evidence.
        handle = os.open(
            self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        self._file = os.fdopen(handle, "wb")

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._good += len(block)

    def finish(self) -> None:
        """Cut off what an interruption left of a block, and give the file its name."""
        self._file.flush()
        if self._path is None or self._part is None:
            return
        self._file.truncate(self._good)
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        self._part = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            with contextlib.suppress(OSError):  # the disk is full: the rest is thrown away with the file
                self._file.close()
            self._part.unlink(missing_ok=True)
