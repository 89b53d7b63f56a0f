# SPDX-License-Identifier: Apache-2.0
"""The last minute of a boot in its own words, for a person who wants to see it."""

from __future__ import annotations

from observer.report.diagnosis.candidates import wall_gap_s
from observer.report.diagnosis.facts import Boot
from observer.report.diagnosis.outcome import Evidence, evidence_of
from observer.report.sources import LogLine

__all__ = ["last_minute"]

_MINUTE_S = 60.0
_CLOCKLESS = 40
"""Lines shown of a source without any clock."""


def last_minute(boot: Boot) -> tuple[Evidence, ...]:
    """The records of a boot's last 60 s, each source by its own last record, at most those that were kept.

    Sources lie one after the other, unless all their records carry wall clocks to order them by.
    """
    by_source: dict[str, list[LogLine | Evidence]] = {}
    for line in boot.tail:
        by_source.setdefault(line.source, []).append(line)
    chosen = [line for lines in by_source.values() for line in _end_of(lines)]
    if len(by_source) > 1 and all(isinstance(one, LogLine) and one.wall_us is not None for one in chosen):
        chosen.sort(key=lambda one: (one.wall_us or 0) if isinstance(one, LogLine) else 0)
    return tuple(evidence_of(one) if isinstance(one, LogLine) else one for one in chosen)


def _end_of(lines: list[LogLine | Evidence]) -> list[LogLine | Evidence]:
    end = next((line for line in reversed(lines) if isinstance(line, LogLine)), None)
    if end is None or (end.mono_us is None and end.wall_us is None):
        return lines[-_CLOCKLESS:]
    first = next((at for at, line in enumerate(lines) if _is_near(line, end)), 0)
    return lines[first:]


def _is_near(line: LogLine | Evidence, end: LogLine) -> bool:
    if not isinstance(line, LogLine):
        return False
    if line.mono_us is not None and end.mono_us is not None:
        return end.mono_us - line.mono_us <= _MINUTE_S * 1e6
    if line.wall_us is not None and end.wall_us is not None:
        return wall_gap_s(line.wall_us, end.wall_us) is None or end.wall_us - line.wall_us <= _MINUTE_S * 1e6
    return False
