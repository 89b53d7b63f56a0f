# SPDX-License-Identifier: Apache-2.0
"""Writes the merged report: judges both logs, plans the clocks, sorts the events; the file appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from observer import clock
from observer.errors import IntegrityError, NotFoundError
from observer.evidence import write_merged
from observer.evidence.sides import BAD_STATES, ORIGINS, SideLog, open_side, worst_state
from observer.timeline.clocks import plan_clocks
from observer.timeline.insights import find_insights

__all__ = ["MasterReport", "ReportOptions", "make_report"]

_PLACE = 1024
"""Bytes kept free in the head for what is only known after the events were written."""
_CLASSES = ("info", "warning", "error", "critical")
Stage = Callable[[str, int], None]
"""Told the stage and the lines done in it."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What to read and how.

    Attributes:
        host_log: The host's live log, or None.
        guest_log: The guest's live log, or None.
        output: The report's file.
        key: HMAC-SHA256 key, or None.
        verdict: Also weigh what happened; needs the memory of one diagnosis.
        room: Index entries kept in memory; 0 for the default.
    """

    host_log: Path | None
    guest_log: Path | None
    output: Path
    key: bytes | None = None
    verdict: bool = True
    room: int = 0


@dataclass(frozen=True, slots=True)
class MasterReport:
    """What was written.

    Attributes:
        head: The report without its events.
        output: Where it lies.
        sides: Both logs.
    """

    head: dict[str, Any]
    output: Path
    sides: tuple[SideLog, ...]

    @property
    def holds(self) -> bool:
        """False when a log says what may not have been sealed."""
        return all(side.state not in BAD_STATES for side in self.sides)

    def insist(self) -> None:
        """Do nothing when every log holds.

        Raises:
            IntegrityError: One does not; the report lies where it was wanted all the same.
        """
        if not self.holds:
            integrity = self.head["integrity"]
            told = f"{integrity['state']}: {integrity['note']}"
            raise IntegrityError(told, hint="the report was written all the same")


def make_report(options: ReportOptions, stage: Stage | None = None) -> MasterReport:
    """Write the merged report of docs/spec/master-report.md.

    Args:
        options: What to read and where to write.
        stage: Called now and then with the stage's name and the lines done.

    Returns:
        Its head, and both logs as judged.

    Raises:
        NotFoundError: Neither log is there.
        CapabilityError, StorageFull: A file may not be read or written.
    """
    tell = stage or _silent
    folder = options.output.parent if str(options.output.parent) else Path()
    scratch = Path(tempfile.mkdtemp(prefix=".observer-report-", dir=folder))
    try:
        return _make(options, tell, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _silent(_stage: str, _done: int) -> None:
    """Tell nobody."""


def _make(options: ReportOptions, tell: Stage, scratch: Path) -> MasterReport:
    sides: list[SideLog] = []
    for origin, path in enumerate((options.host_log, options.guest_log)):
        if path is None:
            sides.append(SideLog(origin, Path("-"), note="no log was named"))
            continue
        name = ORIGINS[origin]
        sides.append(
            open_side(
                origin,
                path,
                scratch,
                key=options.key,
                progress=lambda done, name=name: tell(f"reading the {name}'s log", done),  # type: ignore[misc]
            )
        )
    if not any(side.files for side in sides):
        named = [str(path) for path in (options.host_log, options.guest_log) if path]
        raise NotFoundError(f"no such log: {' nor '.join(named)}", hint="give --host-log and --guest-log")
    reference = 0 if sides[0].survey.get("events") else 1
    plan = plan_clocks([side.survey for side in sides], reference=reference)
    head = _head(options, sides, plan.told)
    draft = scratch / "report.json"
    places = _begin(draft, head)
    written = write_merged(
        [
            {
                "origin": side.origin,
                "files": [str(path) for path in side.plain],
                "clocks": plan.maps[side.origin],
            }
            for side in sides
        ],
        draft,
        _made(scratch / "index"),
        room=options.room,
        progress=lambda done: tell("sorting and writing", done),
    )
    head["health"] = _health(written)
    head["counts"] = written["counts"]
    _end(draft, places, head)
    draft.replace(options.output)
    return MasterReport(head, options.output, tuple(sides))


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _head(options: ReportOptions, sides: list[SideLog], clocks: dict[str, Any]) -> dict[str, Any]:
    head: dict[str, Any] = {
        "generatedAt": _time(clock.wall_ns()),
        "schema": "observer.master-report/1",
        "verdict": None,
        "integrity": {
            "state": worst_state(sides),
            "note": "; ".join(f"{side.name}: {side.note}" for side in sides),
        },
    }
    if options.verdict:
        head["verdict"] = _verdict(options, sides)
    for side in sides:
        head[side.name] = side.to_dict()
    head["health"] = {}
    head["counts"] = {}
    head["clocks"] = clocks
    head["analysis"] = {"insights": find_insights([side.survey for side in sides])}
    return head


def _verdict(options: ReportOptions, sides: list[SideLog]) -> dict[str, Any]:
    from observer.report.sources import SourceKind
    from observer.report.why import SourceSpec, explain

    given = [SourceSpec(SourceKind.LOG, side.path) for side in sides if side.survey.get("events")]
    if not given:
        return {"verdict": "INSUFFICIENT_EVIDENCE", "confidence": 0.0}
    return explain(given, key=options.key).to_dict()


def _begin(draft: Path, head: dict[str, Any]) -> dict[str, int]:
    """Write the head with room for what is known only later; returns where the room is."""
    places: dict[str, int] = {}
    with draft.open("wb") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(b"{")
        for name, value in head.items():
            out.write(f"{json.dumps(name)}: ".encode())
            if name in ("health", "counts"):
                places[name] = out.tell()
                out.write(b" " * _PLACE)
            else:
                out.write(_json(value))
            out.write(b",\n ")
        out.write(b'"events": [')
    return places


def _end(draft: Path, places: dict[str, int], head: dict[str, Any]) -> None:
    with draft.open("r+b") as out:
        out.seek(0, os.SEEK_END)
        out.write(b"\n]}\n")
        for name, place in places.items():
            out.seek(place)
            out.write(_json(head[name]).ljust(_PLACE)[:_PLACE])
        out.flush()
        with suppress(OSError):  # a file system without fsync still has the report
            os.fsync(out.fileno())


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii")


def _health(written: dict[str, Any]) -> dict[str, Any]:
    told = {}
    for origin, name in enumerate(ORIGINS):
        counts = written["classes"][origin]
        span = written["spans"][origin]
        told[name] = {"total": sum(counts), **dict(zip(_CLASSES, counts, strict=True))}
        if span is not None:
            told[name] |= {"firstTimestamp": _time(span[0]), "lastTimestamp": _time(span[1])}
    return told


def _time(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ns // 1000 % 1_000_000:06d}Z"
