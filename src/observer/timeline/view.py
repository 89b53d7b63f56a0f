# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a report: its head, the last minute, the course of everything; read back in bounded memory."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from observer.errors import FormatError

__all__ = ["BUCKETS", "Lane", "ReportView", "read_view", "severity_of", "text_of"]

BUCKETS = 120
_WINDOW = timedelta(seconds=60)
_MAX_LAST = 2000
_MAX_SEVERE = 200
_SEVERE = ("error", "critical")


@dataclass(slots=True)
class Lane:
    """One source of one side: its events over the whole time, by bucket and severity."""

    origin: str
    source: str
    total: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    worst: list[int] = field(default_factory=lambda: [0] * BUCKETS)


@dataclass(slots=True)
class ReportView:
    """What the renderings show.

    Attributes:
        head: The report without its events.
        last: Events of the last 60 s, oldest first, at most 2,000.
        omitted: Events of the last 60 s that are not shown.
        severe: Errors and critical events before them, the newest ones.
        lanes: Sources in order of origin and name.
        first, final: Span of the corrected times, or None.
        other_lanes: Events of sources beyond the lanes kept.
    """

    head: dict[str, Any]
    last: list[dict[str, Any]] = field(default_factory=list)
    omitted: int = 0
    severe: list[dict[str, Any]] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    first: datetime | None = None
    final: datetime | None = None
    other_lanes: int = 0


_MAX_LANES = 40


def read_view(path: Path) -> ReportView:
    """Read a report that `make_report` wrote; one element of `events` stands on each line.

    Raises:
        FormatError: It is no report of this form.
    """
    head = _head(path)
    view = ReportView(head)
    spans = [head["health"][name] for name in ("host", "guest") if name in head.get("health", {})]
    times = [moment(one[key]) for one in spans for key in ("firstTimestamp", "lastTimestamp") if key in one]
    known = [time for time in times if time is not None]
    view.first, view.final = (min(known), max(known)) if known else (None, None)
    lanes: dict[tuple[str, str], Lane] = {}
    last: deque[dict[str, Any]] = deque(maxlen=_MAX_LAST)
    severe: deque[dict[str, Any]] = deque(maxlen=_MAX_SEVERE)
    for element in _events(path):
        time = moment(element.get("corrected"))
        _into_lane(view, lanes, element, time)
        if view.final is not None and time is not None and view.final - time <= _WINDOW:
            view.omitted += len(last) == _MAX_LAST
            last.append(element)
        elif severity_of(element) in _SEVERE:
            severe.append(element)
    view.last, view.severe = list(last), list(severe)
    view.lanes = [lanes[place] for place in sorted(lanes)]
    return view


def moment(text: Any) -> datetime | None:
    """A time of the report; None where it has none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")
    except ValueError:
        return None


def severity_of(element: dict[str, Any]) -> str:
    """Severity of an element in lower case; that of a malformed one is `malformed`."""
    event = element.get("event")
    return str(event.get("severity", "info")).lower() if isinstance(event, dict) else "malformed"


_IDENTITY = frozenset({"boot_id", "hostname", "machine_guid", "machine_id", "peer_origin", "cursor"})
_FEEDS = ("kernel.message", "journal.entry", "kernel.pstore")
_FACTS = 400


def text_of(element: Mapping[str, Any]) -> str:
    """What an element says: its message and, where the agent itself speaks, the facts that go with it."""
    event = element.get("event")
    if not isinstance(event, dict):
        return str(element.get("malformed", ""))
    message = str(event.get("message", ""))
    if event.get("type") in _FEEDS or event.get("source") in ("EventLog", "kernel.kmsg", "systemd.journal"):
        return message
    pairs = [one for one in event.get("attributes") or () if isinstance(one, dict)]
    facts = " ".join(
        f"{one.get('key')}={one.get('value')}" for one in pairs if one.get("key") not in _IDENTITY
    )
    return f"{message}: {facts[:_FACTS]}" if facts else message


_RANK = {"critical": 3, "error": 2, "malformed": 2, "warning": 1}


def _into_lane(
    view: ReportView, lanes: dict[tuple[str, str], Lane], element: dict[str, Any], time: datetime | None
) -> None:
    event = element.get("event")
    source = str(event.get("source", ""))[:60] if isinstance(event, dict) else "(malformed)"
    place = (str(element.get("origin")), source)
    if place not in lanes and len(lanes) >= _MAX_LANES:
        view.other_lanes += 1
        return
    lane = lanes.setdefault(place, Lane(*place))
    lane.total += 1
    if view.first is None or view.final is None or time is None:
        return
    span = (view.final - view.first).total_seconds() or 1.0
    at = min(BUCKETS - 1, max(0, int((time - view.first).total_seconds() / span * BUCKETS)))
    lane.buckets[at] += 1
    lane.worst[at] = max(lane.worst[at], _RANK.get(severity_of(element), 0))


def _head(path: Path) -> dict[str, Any]:
    held: list[bytes] = []
    with path.open("rb") as stream:
        for line in stream:
            if line.lstrip().startswith(b'"events": ['):
                break
            held.append(line)
        else:
            raise FormatError(f"{path} is no merged report", hint="give a file that 'observer report' wrote")
    try:
        head: dict[str, Any] = json.loads(b"".join(held).rstrip().rstrip(b",") + b"}")
    except ValueError as error:
        raise FormatError(f"{path} is no merged report: {error}") from error
    return head


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        for line in stream:
            if line.lstrip().startswith(b'"events": ['):
                break
        for line in stream:
            text = line.strip().rstrip(b",")
            if text.startswith(b"{"):
                element = json.loads(text)
                yield element
