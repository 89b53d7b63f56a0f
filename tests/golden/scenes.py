# SPDX-License-Identifier: Apache-2.0
"""Recordings that the golden cases look at; each scene is made anew by the public API in the case's own home."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from observer import trace

CONTAINER = UUID("00000000-0000-4000-8000-0000000000c0")


def nothing(_place: Path) -> None:
    """Nothing was ever recorded."""


def embedded(place: Path) -> Path:
    """A program that embeds Observer: one call allowed, one failed, one denied, two events."""
    identity = trace.IdentityContext.new("acme", "ana").with_agent("api")
    context = trace.TraceContext.new(CONTAINER, None, identity)
    trace.record_event(
        context.trace_id, "container_started", trace.EventSeverity.INFO, {"image": "alpine:latest"}
    )
    trace.record_syscall(
        context.trace_id,
        "open_file",
        identity,
        ["path/to/file", "r"],
        True,
        result=3,
        duration_ns=1500,
        thread=7,
    )
    trace.record_syscall(
        context.trace_id,
        "open_file",
        identity,
        ["/srv/none", "r"],
        True,
        errno="ENOENT",
        duration_ns=900,
        thread=7,
    )
    trace.record_syscall(
        context.trace_id, "open_file", identity, ["/etc/shadow", "r"], False, reason="not listed", thread=7
    )  # fmt: skip
    trace.record_event(context.trace_id, "policy_alarm", trace.EventSeverity.ERROR, {"file": "/etc/shadow"})
    trace.complete_trace(context.trace_id)
    path = trace.TraceStore().get(context.trace_id)
    (place / "rec").symlink_to(path)
    return path


def hostile(place: Path) -> None:
    """A program whose every text tries to take over the terminal."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\r\nobserver: VERIFIED [red]x[/red]"
    identity = trace.IdentityContext.new(evil, evil)
    context = trace.TraceContext.new(None, None, identity)
    trace.record_syscall(
        context.trace_id, evil, identity, [evil], False, reason=evil, duration_ns=5, thread=7
    )
    trace.record_event(context.trace_id, evil, trace.EventSeverity.ERROR, {evil: evil})
    trace.fail_trace(context.trace_id, evil)
    (place / "rec").symlink_to(trace.TraceStore().get(context.trace_id))


def _segment(path: Path) -> Path:
    return path / "segments" / "000000.seg"


def flipped_chunk(place: Path) -> None:
    """One bit of a chunk was changed."""
    segment = _segment(embedded(place))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)


def changed_line(place: Path) -> None:
    """One word of a sealed line was changed."""
    log = embedded(place) / "sealed.log"
    log.write_bytes(log.read_bytes().replace(b"alpine:latest", b"alpine:latesu"))


def dropped_line(place: Path) -> None:
    """A line in the middle of the log is gone."""
    log = embedded(place) / "sealed.log"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2] + lines[3:]))


def cut_segment(place: Path) -> None:
    """The end of the segment is gone."""
    segment = _segment(embedded(place))
    os.truncate(segment, segment.stat().st_size - 10)


def lost_segment(place: Path) -> None:
    """The segment is gone."""
    _segment(embedded(place)).unlink()


def foreign(place: Path) -> None:
    """A directory that looks like a recording and is none."""
    (place / "rec").mkdir()
    (place / "rec" / "sealed.log").write_text(json.dumps({"hello": "world"}) + "\n")


def empty_log(place: Path) -> None:
    """The writer died before the first line."""
    (place / "rec").mkdir()
    (place / "rec" / "sealed.log").touch()


def plain_files(place: Path) -> None:
    """A file that cannot be executed, and a directory."""
    (place / "notes.txt").write_text("no program\n")
    (place / "folder").mkdir()
    script = place / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    text = place / "text"
    text.write_text("echo hello\n")
    text.chmod(0o755)


SCENES: dict[str, Callable[[Path], object]] = {
    scene.__name__: scene
    for scene in (
        nothing, embedded, hostile, flipped_chunk, changed_line, dropped_line, cut_segment, lost_segment, foreign,
        empty_log, plain_files,
    )
}  # fmt: skip
