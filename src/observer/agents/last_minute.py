# SPDX-License-Identifier: Apache-2.0
"""After a start: how the run before ended, what only the ring file still holds, and the report of its last 60 seconds.

The rules are docs/spec/agent-log.md section 5.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer.agents.ring import Beat, RingContent, read_ring
from observer.errors import FormatError, ObserverError
from observer.evidence.reading import read_log
from observer.model.event_record import EventRecord

__all__ = ["LastMinute", "PreviousRun", "examine_previous_run", "report_of", "write_private"]

_WINDOW_NS: Final = 60_000_000_000
_MAX_EVENTS: Final = 20_000  # a storm's last minute; more is cut from the front, and counted


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """How the run before this one ended.

    Attributes:
        kind: `none`, `clean`, `agent_killed` or `machine_died`.
        beat: Its last sign of life on the disk; None when there was no run.
        missing: Records that only the ring file holds, oldest first.
        content: Everything the ring file holds.
        overwritten: How many records at most neither the log nor the ring file holds any more: a log that could not be written,
            on a full disk, was waited for until the ring file came round.
    """

    kind: str
    beat: Beat | None
    missing: tuple[bytes, ...] = ()
    content: RingContent | None = None
    overwritten: int = 0


@dataclass(frozen=True, slots=True)
class LastMinute:
    """The report of a run's last 60 seconds.

    Attributes:
        document: What is written, an object of `observer.last-minute/1`.
        events: How many events are in it.
        last_event_wall_ns: Collector's wall clock of the last event, or None.
    """

    document: dict[str, Any]
    events: int
    last_event_wall_ns: int | None

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        return (json.dumps(self.document, indent=1) + "\n").encode("ascii")


def examine_previous_run(ring: Path, log: Path, boot_id: str) -> PreviousRun:
    """Read what the run before left; nothing is changed.

    Args:
        ring: The ring file; need not exist.
        log: The log; need not exist.
        boot_id: This boot.
    """
    try:
        content = read_ring(ring)
    except OSError:
        return PreviousRun("none", None)
    beat = content.beat
    if beat is None:
        return PreviousRun("none", None, content=content)
    kind = "clean" if beat.clean else "agent_killed" if beat.boot_id == boot_id else "machine_died"
    late = [(number, data) for number, data in content.records if number > beat.sealed and _is_event(data)]
    if not late:
        return PreviousRun(kind, beat, (), content)
    sealed = {_digest(event) for event in _events_of(log)}
    missing = tuple(data for _, data in late if _digest(data) not in sealed)
    number, oldest = late[0]
    # What is sealed is sealed in order: where the oldest is in the log, so is all before it.
    overwritten = 0 if _digest(oldest) in sealed else number - beat.sealed - 1
    return PreviousRun(kind, beat, missing, content, overwritten)


def report_of(previous: PreviousRun, log: Path, generated_wall_ns: int) -> LastMinute | None:
    """Return the report of a run that had no end, or None when there is nothing to tell.

    Args:
        previous: The run.
        log: The log as it is now, recovered records included.
        generated_wall_ns: Now.
    """
    beat = previous.beat
    if beat is None or previous.content is None:
        return None
    found: dict[str, EventRecord] = {}
    ring = (data for _, data in previous.content.records)
    for data in (*ring, *_events_of(log)):
        with contextlib.suppress(FormatError):
            record = EventRecord.from_json(data)
            if record.run == beat.run:
                found[f"{record.source} {record.sequence}"] = record
    records = sorted(found.values(), key=lambda one: (one.collector.boottime_ns, one.source, one.sequence))
    last = records[-1] if records else None
    end = max(beat.clocks.boottime_ns, last.collector.boottime_ns if last else 0)
    window = [one for one in records if one.collector.boottime_ns >= end - _WINDOW_NS]
    document = _document(previous, beat, window, generated_wall_ns)
    return LastMinute(document, len(window), last.collector.wall_ns if last else None)


def _document(
    previous: PreviousRun, beat: Beat, window: list[EventRecord], generated_wall_ns: int
) -> dict[str, Any]:
    last = window[-1] if window else None
    silence = beat.clocks.boottime_ns - last.collector.boottime_ns if last else None
    return {
        "schema": "observer.last-minute/1",
        "kind": previous.kind,
        "generated_wall_ns": generated_wall_ns,
        "previous_boot_id": beat.boot_id,
        "previous_run": beat.run,
        "last_beat": {
            "wall_ns": beat.clocks.wall_ns,
            "monotonic_ns": beat.clocks.monotonic_ns,
            "boottime_ns": beat.clocks.boottime_ns,
        },
        "last_event": last.to_dict() if last else None,
        "window_s": _WINDOW_NS // 1_000_000_000,
        "silence_ms": None if silence is None else max(0, silence // 1_000_000),
        "from_ring_only": len(previous.missing),
        "counts": {
            "by_source": dict(sorted(Counter(one.source for one in window).items())),
            "by_severity": dict(sorted(Counter(one.severity.value for one in window).items())),
        },
        "left_out": max(0, len(window) - _MAX_EVENTS),
        "events": [one.to_dict() for one in window[-_MAX_EVENTS:]],
    }


def write_private(path: Path, data: bytes) -> str:
    """Write a whole file (0600) that is on the disk or not there at all; returns its SHA-256.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return hashlib.sha256(data).hexdigest()


def _events_of(log: Path) -> Iterable[bytes]:
    """Yield the events of the log's newest file; what cannot be read is left to the log's own checks."""
    with contextlib.suppress(ObserverError):
        for line in read_log(log):
            if line.kind is None:
                yield line.event


def _is_event(data: bytes) -> bool:
    try:
        EventRecord.from_json(data)
    except FormatError:
        return False
    return True


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
