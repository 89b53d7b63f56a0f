# SPDX-License-Identifier: Apache-2.0
"""Facts: lines that matched a signal, kept in bounded number with exact counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from observer.report.diagnosis.outcome import Evidence, evidence_of
from observer.report.sources import LogLine, Origin

__all__ = ["Boot", "Fact", "FactStore"]

_KEEP_FIRST = 40
_TAIL = 120
"""Last lines kept of a boot, for a person to read; of a line longer than this only what is cited of it:"""
_LONG_BYTES = 8192
_KEEP_LAST = 24
"""Facts kept per signal and boot: the first and the last; an incident needs its beginning and its end, not its middle."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line that means something.

    Attributes:
        signal: Name of the signal.
        line: The line itself.
        says: What it means, for people.
        values: Named groups of the pattern.
        role: `cause`, `symptom`, `context` or `end`.
        order: Position over all sources, for ties.
        late: The record was written after what it tells of.
    """

    signal: str
    line: LogLine
    says: str
    values: Mapping[str, str]
    role: str
    order: int
    late: bool = False


class FactStore:
    """Facts of one boot by signal."""

    def __init__(self) -> None:
        """Start empty."""
        self._first: dict[str, list[Fact]] = {}
        self._last: dict[str, deque[Fact]] = {}
        self.counts: dict[str, int] = {}

    def add(self, fact: Fact) -> None:
        """Keep a fact, or only count it when many like it are kept already."""
        self.counts[fact.signal] = self.counts.get(fact.signal, 0) + 1
        first = self._first.setdefault(fact.signal, [])
        if len(first) < _KEEP_FIRST:
            first.append(fact)
        else:
            self._last.setdefault(fact.signal, deque(maxlen=_KEEP_LAST)).append(fact)

    def of(self, names: Iterable[str]) -> list[Fact]:
        """The kept facts of these signals in order."""
        found = [fact for name in names for fact in (*self._first.get(name, ()), *self._last.get(name, ()))]
        return sorted(found, key=lambda fact: fact.order)

    def has(self, name: str) -> bool:
        """Tell whether the signal was seen."""
        return name in self.counts

    def merge(self, other: FactStore) -> None:
        """Add the facts of another store."""
        for name in other.counts:
            for fact in other.of([name]):
                self.add(fact)
            self.counts[name] += other.counts[name] - len(other.of([name]))


@dataclass(slots=True)
class Boot:
    """One run of a machine in one source.

    Attributes:
        id: Boot id where known.
        facts: What was seen in it.
        lines: How many lines it has.
        first, last: Its first and last line that carry a time, or any; over several sources the earliest and the latest.
        ends: The last line of each source.
        closed: A later boot follows in the source.
        managed: The service manager speaks in it, so that an orderly stop would have left records.
        tail: Its last lines.
    """

    id: str = ""
    facts: FactStore = field(default_factory=FactStore)
    lines: int = 0
    first: LogLine | None = None
    last: LogLine | None = None
    ends: dict[str, LogLine] = field(default_factory=dict)
    closed: bool = False
    managed: bool = False
    tail: deque[LogLine | Evidence] = field(default_factory=lambda: deque(maxlen=_TAIL))

    def see(self, line: LogLine) -> None:
        """Count a line."""
        self.lines += 1
        self.managed = self.managed or line.origin in (Origin.SYSTEMD, Origin.AGENT)
        self.first = self.first or line
        self.last = self.ends[line.source] = line
        self.tail.append(line if len(line.raw) <= _LONG_BYTES else evidence_of(line))
