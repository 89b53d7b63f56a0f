# SPDX-License-Identifier: Apache-2.0
"""Candidates: clusters of anchoring facts, with the confidence the rest of the boot gives them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from observer.report.diagnosis.facts import Boot, Fact
from observer.report.diagnosis.rules import RuleBook, Verdict
from observer.report.sources import Origin

__all__ = ["Candidate", "find_candidates", "gap_s", "wall_gap_s"]

_CEILING = 0.99
_FLOOR = 0.02
_YEARLESS_END_US = 978_307_200_000_000
"""End of the year 2000: no log worth a diagnosis is older."""
_YEAR_S = 365.2425 * 86_400
_ZONES_S = 1.6 * 86_400
"""Half a day of zones either way, and a day of leap years."""
_SLACK_S = 5.0
"""A symptom may be printed this much before its cause; processors and daemons print late."""
_MAX_CLUSTERS = 20
"""Candidates per verdict and boot."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A verdict that may hold for one cluster of facts."""

    rule: Verdict
    facts: list[Fact]
    confidence: float
    lost: str = ""
    supports: list[Fact] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    owner: Candidate | None = None
    symptoms: list[Candidate] = field(default_factory=list)

    def root(self) -> Candidate:
        """The cause at the end of the line of owners."""
        one, seen = self, {id(self)}
        while one.owner is not None and id(one.owner) not in seen:
            seen.add(id(one.owner))
            one = one.owner
        return one

    def explains(self, other: Candidate) -> bool:
        """Tell whether the other is a symptom of this: named by the rule, and close behind it."""
        if not any(fnmatch.fnmatchcase(other.rule.name, pattern) for pattern in self.rule.explains):
            return False
        seen = [fact for fact in other.facts if fact.role != "aftermath"]
        if not seen:  # what the next boot found says nothing of when
            return True
        begin = gap_s(self.facts[0], seen[0])
        close = gap_s(self.facts[-1], seen[0])
        if begin is None or close is None:
            return (
                other.facts[0].order >= self.facts[0].order
                or other.facts[0].line.source != self.facts[0].line.source
            )
        if all(fact.late for fact in self.facts):
            return abs(begin) <= self.rule.window_s or abs(close) <= self.rule.window_s
        return begin >= -_SLACK_S and close <= self.rule.window_s


def gap_s(first: Fact, second: Fact) -> float | None:
    """Seconds from the first to the second fact; None where no clock is common to both."""
    one, two = first.line, second.line
    if one.source == two.source and one.mono_us is not None and two.mono_us is not None:
        return (two.mono_us - one.mono_us) / 1e6
    if one.wall_us is not None and two.wall_us is not None:
        return wall_gap_s(one.wall_us, two.wall_us)
    return None


def wall_gap_s(first: int, second: int) -> float | None:
    """Seconds between two wall clocks, in microseconds since 1970.

    Syslog of RFC 3164 has neither year nor zone and is read as of the year 2000. Against a log that has both it is put into
    the year where it is nearest; what then lies within a day of zones cannot be ordered.
    """
    yearless = [moment < _YEARLESS_END_US for moment in (first, second)]
    gap = (second - first) / 1e6
    if yearless[0] == yearless[1]:
        return gap
    gap -= round(gap / _YEAR_S) * _YEAR_S
    return None if abs(gap) <= _ZONES_S else gap


def find_candidates(boot: Boot, book: RuleBook) -> list[Candidate]:
    """Every candidate of one boot, in order of the rule book and then of time."""
    found: list[Candidate] = []
    for rule in book.verdicts:
        facts = [fact for fact in boot.facts.of(rule.anchors) if _past_start(rule, fact)]
        if not facts or sum(boot.facts.counts.get(name, 0) for name in rule.anchors) < rule.repeat:
            continue
        clusters = _clusters(facts, rule.window_s)[:_MAX_CLUSTERS]
        found.extend(_weigh(rule, cluster, boot) for cluster in clusters if _stands(rule, cluster, boot))
    return found


def _past_start(rule: Verdict, fact: Fact) -> bool:
    return fact.line.mono_us is None or fact.line.mono_us >= rule.after_start * 1e6


def _clusters(facts: list[Fact], window_s: float) -> list[list[Fact]]:
    clusters: list[list[Fact]] = []
    for fact in facts:
        gap = gap_s(clusters[-1][-1], fact) if clusters else None
        if clusters and (gap is None or gap <= window_s):
            clusters[-1].append(fact)
        else:
            clusters.append([fact])
    return clusters


def near(boot: Boot, name: str, cluster: list[Fact], window_s: float) -> list[Fact]:
    """The facts of a signal that stand within the window around a cluster."""
    close: list[Fact] = []
    for fact in boot.facts.of([name]):
        before, after = gap_s(fact, cluster[0]), gap_s(cluster[-1], fact)
        if before is None or after is None or (before <= window_s and after <= window_s):
            close.append(fact)
    return close


def _stands(rule: Verdict, cluster: list[Fact], boot: Boot) -> bool:
    for group in rule.requires:
        if not any(near(boot, name, cluster, rule.window_s) for name in group):
            return False
    if rule.repeat > 1 and sum(1 for _ in cluster) < min(rule.repeat, 40):
        return False
    if rule.at_end is None or cluster[-1].role == "aftermath":
        return True  # what the next boot tells of this one's end stands at it
    return _left_s(cluster[-1], boot) <= rule.at_end


def _left_s(fact: Fact, boot: Boot) -> float:
    """Seconds from a fact to the end of its side's logs: what a host wrote later says nothing of how long its guest went on."""
    host = fact.line.origin is Origin.HOST
    ends = [
        Fact("", line, "", {}, "end", 0)
        for line in boot.ends.values()
        if (line.origin is Origin.HOST) == host
    ]
    return max((left for end in ends if (left := gap_s(fact, end)) is not None), default=0.0)


def _weigh(rule: Verdict, cluster: list[Fact], boot: Boot) -> Candidate:
    candidate = Candidate(rule, cluster, rule.confidence)
    for group in rule.requires:
        for name in group:
            candidate.supports.extend(near(boot, name, cluster, rule.window_s)[:2])
    for weight in (*rule.supports, *rule.against):
        facts = near(boot, weight.signal, cluster, rule.window_s)
        if facts:
            candidate.confidence += weight.change
            candidate.reasons.append(weight.because)
            if weight.change > 0:
                candidate.supports.extend(facts[:2])
    for weight in rule.veto:
        if near(boot, weight.signal, cluster, rule.window_s):
            candidate.confidence, candidate.lost = min(candidate.confidence, 0.3), weight.because
    for name in rule.context:
        candidate.supports.extend(near(boot, name, cluster, rule.window_s)[:2])
    candidate.confidence = min(_CEILING, max(_FLOOR, candidate.confidence))
    if candidate.confidence < 0.5 and not candidate.lost:
        candidate.lost = "; ".join(text for text in candidate.reasons if text) or "too little speaks for it"
    return candidate
