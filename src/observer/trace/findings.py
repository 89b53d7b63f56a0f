# SPDX-License-Identifier: Apache-2.0
"""Applies the risk rules to a trace, in one pass over its lines and the calls the rules can ask about."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from observer.model.safe_text import safe
from observer.model.summary import KeyEvent, RiskFactor
from observer.trace.reading import Recording, SealedLine
from observer.trace.rules import SEVERITIES, Rule, Sight, load_rules, load_words
from observer.trace.watch import Watch

__all__ = ["Findings", "find_risks"]

_MOST_IDS: Final = 20  # record ids listed per finding; `support` counts them all
_MOST_SUBJECTS: Final = 5  # named in a sentence
_MOST_DISTINCT: Final = 10_000  # subjects told apart; beyond that they are counted as one


@dataclass(slots=True)
class _Tally:
    count: int = 0
    record_ids: dict[str, None] = field(default_factory=dict)
    subjects: dict[str, None] = field(default_factory=dict)


class Findings:
    """Collects what matches each rule, in bounded memory."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Begin with nothing found."""
        self._rules = rules
        self._tallies: dict[str, _Tally] = {}
        self._candidates: dict[tuple[str, str], list[Rule]] = {}

    def consider(self, sight: Sight) -> None:
        """Count the sight for every rule that it matches."""
        key = (sight.kind, sight.action)
        if key not in self._candidates:
            self._candidates[key] = [
                rule
                for rule in self._rules
                if sight.kind in rule.kinds and (not rule.actions or sight.action in rule.actions)
            ]
        for rule in self._candidates[key]:
            if rule.matches(sight):
                self._count(rule, sight)

    def _count(self, rule: Rule, sight: Sight) -> None:
        tally = self._tallies.setdefault(rule.id, _Tally())
        subject = rule.shown(sight)
        is_new = subject not in tally.subjects
        if is_new and len(tally.subjects) < _MOST_DISTINCT:
            tally.subjects[subject] = None
        if is_new or not rule.distinct:
            tally.count += 1
        if sight.record_id and len(tally.record_ids) < _MOST_IDS and (is_new or not rule.distinct):
            tally.record_ids[sight.record_id] = None

    def risks(self) -> list[RiskFactor]:
        """Return the findings, worst first, then in order of rule id."""
        found = [rule for rule in self._rules if rule.id in self._tallies]
        found.sort(key=lambda rule: (-SEVERITIES.index(rule.severity), -rule.deduct, rule.id))
        return [self._risk(rule, self._tallies[rule.id]) for rule in found]

    @staticmethod
    def _risk(rule: Rule, tally: _Tally) -> RiskFactor:
        named = [safe(subject) for subject in list(tally.subjects)[:_MOST_SUBJECTS]]
        more = len(tally.subjects) - len(named)
        subjects = ", ".join(named) + (f" and {more} more" if more else "")
        text = rule.text.replace("{count}", f"{tally.count:,}").replace("{subjects}", subjects)
        event = KeyEvent(text, tuple(tally.record_ids), tally.count)
        return RiskFactor.found(event, rule=rule.id, severity=rule.severity, deduct=rule.deduct)


def find_risks(recording: Recording, lines: Iterable[SealedLine], whole: Iterable[Sight]) -> list[RiskFactor]:
    """Return the risk factors of a recording, worst first.

    Args:
        recording: Whose calls to read.
        lines: Its sealed lines.
        whole: Facts of the recording as a whole, such as that it was never closed.
    """
    words = load_words()
    watch, findings = Watch(words), Findings(load_rules())
    for fact in whole:
        findings.consider(fact)
    embedded = recording.start.source == "api"
    calls = _calls(recording, {} if embedded else {"syscalls": sorted(words.actions)})
    for _, _, item in heapq.merge(_timed(lines), calls, key=lambda entry: entry[:2]):
        if isinstance(item, SealedLine):
            sight = watch.see_line(item)
            if sight is not None:
                findings.consider(sight)
        else:
            for seen in watch.see_call(item):
                findings.consider(seen)
    return findings.risks()


def _timed(lines: Iterable[SealedLine]) -> Iterator[tuple[int, int, Any]]:
    at = 0
    for line in lines:
        at = int(line.event.get("at_ns") or at)
        yield at, 1, line


def _calls(recording: Recording, query: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
    for line in recording.call_lines(query):
        # A program that looks for a file in many places misses often, and no rule asks about that.
        if b'"errno":"ENOENT"' not in line:
            call = json.loads(line)
            yield int(call["start_ns"]), 0, call
