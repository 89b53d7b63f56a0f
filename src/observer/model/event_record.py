# SPDX-License-Identifier: Apache-2.0
"""EventRecord: the one shape of every event that an agent seals, on Linux and on Windows.

The format is `docs/spec/event-record.md`; the types of events are `event_types/*.toml`. Text of strangers is data here: it is
made valid UTF-8 and cut to length, and JSON escapes the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from observer.errors import FormatError
from observer.model.event import EventSeverity

__all__ = [
    "Clocks",
    "EventRecord",
    "MAX_MESSAGE_CHARS",
    "MAX_VALUE_CHARS",
    "Observed",
    "SCHEMA",
    "clean_text",
]

SCHEMA: Final = "observer.event/1"
MAX_MESSAGE_CHARS: Final = 8192  # a journal message may be 48 KiB and more; the rest stays in the journal
MAX_VALUE_CHARS: Final = 4096  # a kernel stack of 64 frames fits
_NAMES: Final = {
    EventSeverity.DEBUG: "Verbose",
    EventSeverity.INFO: "Info",
    EventSeverity.WARNING: "Warning",
    EventSeverity.ERROR: "Error",
    EventSeverity.CRITICAL: "Critical",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Three clocks of one machine, read together.

    Attributes:
        wall_ns: CLOCK_REALTIME, ns since 1970.
        monotonic_ns: CLOCK_MONOTONIC, ns; stands still while the machine sleeps.
        boottime_ns: CLOCK_BOOTTIME, ns; counts sleep.
    """

    wall_ns: int
    monotonic_ns: int
    boottime_ns: int


@dataclass(frozen=True, slots=True)
class Observed:
    """When a thing happened, as its feed tells it.

    Attributes:
        wall_ns: Wall clock, ns since 1970; of a feed that has none, worked out from its monotonic clock.
        monotonic_ns: The feed's monotonic clock in the boot `boot_id`, ns; None when it has none.
        basis: Where the time is from: `kmsg`, `journal`, `perf`, `file`.
    """

    wall_ns: int
    monotonic_ns: int | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event.

    Attributes:
        event_type: Name of a file in `event_types/`, with a dot for the underscore after its first word.
        source: Feed, such as `kernel.kmsg`; sequences count within it.
        category: Family, such as `Kernel`.
        severity: How much it matters.
        message: One sentence, or the feed's own text.
        attributes: Facts, text to text, sorted by key; `boot_id`, `machine_id` and `hostname` among them.
        sequence: Number within `source` and `run`, from 1; numbers that are missing were declared lost.
        run: 16 hexadecimal digits, one for each start of an agent.
        collector: The clocks when the collector made this record.
        observed: When it happened, of a feed that tells; None means the collector's time.
    """

    event_type: str
    source: str
    category: str
    severity: EventSeverity
    message: str
    attributes: tuple[tuple[str, str], ...]
    sequence: int
    run: str
    collector: Clocks
    observed: Observed | None = field(default=None)

    @property
    def wall_ns(self) -> int:
        """The best known wall clock time of what happened, ns since 1970."""
        return self.observed.wall_ns if self.observed else self.collector.wall_ns

    def get(self, key: str, default: str = "") -> str:
        """Return the first value of an attribute."""
        return next((value for name, value in self.attributes if name == key), default)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the specification, keys in its order."""
        values: dict[str, Any] = {
            "timestamp": _timestamp(self.wall_ns),
            "sequence": self.sequence,
            "source": self.source,
            "category": self.category,
            "severity": _NAMES[self.severity],
            "message": self.message,
            "attributes": [{"key": key, "value": value} for key, value in sorted(self.attributes)],
            "schema": SCHEMA,
            "type": self.event_type,
            "run": self.run,
            "collector": {
                "wall_ns": self.collector.wall_ns,
                "monotonic_ns": self.collector.monotonic_ns,
                "boottime_ns": self.collector.boottime_ns,
            },
        }
        if self.observed is not None:
            seen: dict[str, Any] = {"wall_ns": self.observed.wall_ns}
            if self.observed.monotonic_ns is not None:
                seen["monotonic_ns"] = self.observed.monotonic_ns
            values["observed"] = seen | {"basis": self.observed.basis}
        return values

    def to_json(self) -> bytes:
        """Return the object as the bytes that are sealed: one line of ASCII without a line end."""
        return json.dumps(self.to_dict(), ensure_ascii=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes | str) -> EventRecord:
        """Read an event of this form, or of the original one, which lacks all keys after `attributes`.

        Raises:
            FormatError: It is no EventRecord. [OBS500]
        """
        try:
            values = json.loads(data)
            return _from_values(values)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FormatError(f"not an EventRecord: {type(error).__name__}: {error}") from error


def clean_text(text: str | bytes, limit: int = MAX_VALUE_CHARS) -> str:
    """Return text that is valid Unicode and at most `limit` characters long."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text[:limit]
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _timestamp(wall_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=wall_ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}Z"


def _from_values(values: Mapping[str, Any]) -> EventRecord:
    moment = datetime.fromisoformat(values["timestamp"])
    wall_ns = ((moment - _EPOCH) // timedelta(microseconds=1)) * 1000
    clocks = values.get("collector") or {"wall_ns": wall_ns, "monotonic_ns": 0, "boottime_ns": 0}
    seen = values.get("observed")
    return EventRecord(
        event_type=str(values.get("type", "")),
        source=str(values["source"]),
        category=str(values.get("category") or "General"),
        severity=EventSeverity.parse(str(values.get("severity", ""))),
        message=str(values["message"]),
        attributes=tuple(_pairs(values.get("attributes", ()))),
        sequence=int(values.get("sequence", 0)),
        run=str(values.get("run", "")),
        collector=Clocks(int(clocks["wall_ns"]), int(clocks["monotonic_ns"]), int(clocks["boottime_ns"])),
        observed=_observed(seen) if seen is not None else None,
    )


def _observed(seen: Mapping[str, Any]) -> Observed:
    monotonic = seen.get("monotonic_ns")
    return Observed(
        int(seen["wall_ns"]), None if monotonic is None else int(monotonic), str(seen.get("basis", ""))
    )


def _pairs(attributes: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    return ((str(one["key"]), str(one["value"])) for one in attributes)
