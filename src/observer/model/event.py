# SPDX-License-Identifier: Apache-2.0
"""Things worth a line of their own: what happened, how bad it is, and the facts that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from observer.errors import FormatError

__all__ = ["EventSeverity", "TraceEvent"]


class EventSeverity(Enum):
    """How much an event matters, least first; comparable with `<`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for debug to 4 for critical."""
        return _RANKS[self.value]

    def __lt__(self, other: EventSeverity) -> bool:
        return self.rank < other.rank

    def __le__(self, other: EventSeverity) -> bool:
        return self.rank <= other.rank

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> EventSeverity:
        """Return the severity of that name in any case; `trace` and `verbose` mean debug, empty means info.

        Raises:
            FormatError: No severity has that name.
        """
        name = text.strip().lower()
        known = _ALIASES.get(name, name)
        try:
            return cls(known)
        except ValueError:
            raise FormatError(f"unknown severity {text!r}", hint=f"one of {', '.join(_RANKS)}") from None


_RANKS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
# Words of neighbouring systems for the same five steps.
_ALIASES = {
    "": "info",
    "trace": "debug",
    "verbose": "debug",
    "low": "info",
    "medium": "warning",
    "high": "error",
}


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event of a trace.

    Attributes:
        event_type: What happened, a short name such as `container_started`.
        timestamp: UTC wall clock.
        data: Facts, text to text.
        severity: How much it matters.
        sequence: Number of its line in the sealed log; None before it is sealed.
    """

    event_type: str
    timestamp: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    severity: EventSeverity = EventSeverity.INFO
    sequence: int | None = None

    @property
    def record_id(self) -> str | None:
        """The id by which summaries cite this event, `e` and its sequence number."""
        return None if self.sequence is None else f"e{self.sequence}"
