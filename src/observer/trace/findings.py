# SPDX-License-Identifier: Apache-2.0
"""Applies the risk rules to a trace, in one pass over its lines and the calls the rules can ask about."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from observer.model.safe_text import safe
from observer.model.summary import KeyEvent, RiskFactor
from observer.trace.closer import closer_sights
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
        self._tallies: dict[str, dict[int, _Tally]] = {}
        self._candidates: dict[tuple[str, str], list[Rule]] = {}
        self._seen: dict[str, set[int]] = {}
        self._wanted = frozenset().union(*(rule.after for rule in rules)) if rules else frozenset()

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
            if rule.matches(sight) and (not rule.after or self._follows(rule, sight)):
                self._count(rule, sight)
                if rule.id in self._wanted:
                    self._seen.setdefault(rule.id, set()).add(sight.pid)
                    self._seen.setdefault(f"{rule.id}/tree", set()).add(sight.tree)

    def _follows(self, rule: Rule, sight: Sight) -> bool:
        """Whether what must have come before did, in this process or one that it descends from, or in its tree."""
        if rule.within == "trace":
            return any(self._seen.get(before) for before in rule.after)
        if rule.within == "tree":
            return any(sight.tree in self._seen.get(f"{before}/tree", ()) for before in rule.after)
        mine = set(sight.lineage())
        return any(self._seen.get(before, set()) & mine for before in rule.after)

    def _count(self, rule: Rule, sight: Sight) -> None:
        group = {"process": sight.pid, "tree": sight.tree}.get("process" if rule.share else rule.per, 0)
        tally = self._tallies.setdefault(rule.id, {}).setdefault(group, _Tally())
        subject = rule.shown(sight)
        is_new = subject not in tally.subjects
        if is_new and len(tally.subjects) < _MOST_DISTINCT:
            tally.subjects[subject] = None
        if is_new or not rule.distinct:
            tally.count += 1
        if sight.record_id and len(tally.record_ids) < _MOST_IDS and (is_new or not rule.distinct):
            tally.record_ids[sight.record_id] = None

    def risks(self, opened: Mapping[int, int] | None = None) -> list[RiskFactor]:
        """Return the findings, worst first, then in order of rule id.

        Args:
            opened: How many files each process opened, for rules that ask what share of them matched.
        """
        merged = {
            rule.id: self._merged(rule, opened or {}) for rule in self._rules if rule.id in self._tallies
        }
        found = [rule for rule in self._rules if not rule.hidden and merged.get(rule.id) is not None]
        found.sort(key=lambda rule: (-SEVERITIES.index(rule.severity), -rule.deduct, rule.id))
        return [self._risk(rule, tally) for rule in found if (tally := merged[rule.id]) is not None]

    def _merged(self, rule: Rule, opened: Mapping[int, int]) -> _Tally | None:
        """Return what all groups that are large enough found together; None when there is none."""
        whole = _Tally()
        for group, tally in self._tallies[rule.id].items():
            enough = len(tally.subjects) >= rule.at_least
            # Whoever reads everything, as a backup does, is not after this.
            sought = not rule.share or len(tally.subjects) >= rule.share * opened.get(group, 0)
            if enough and sought:
                whole.count += tally.count
                for record_id in list(tally.record_ids)[: _MOST_IDS - len(whole.record_ids)]:
                    whole.record_ids[record_id] = None
                whole.subjects.update(tally.subjects)
        return whole if whole.count else None

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
    for sight in closer_sights(recording, watch):
        findings.consider(sight)
    return findings.risks(watch.opened())


def _timed(lines: Iterable[SealedLine]) -> Iterator[tuple[int, int, Any]]:
    at = 0
    for line in lines:
        at = int(line.event.get("at_ns") or at)
        yield at, 1, line


_SAID: Final = (b"mining", b"method", b"jsonrpc", b"login", b"stratum", b"params", b"sin_port", b"sin6_port")


def _is_dull(line: bytes) -> bool:
    """Whether a call of a name that does many things does none that a rule or the world asks about."""
    if b'"syscall":"fcntl"' in line:
        return b"F_DUPFD" not in line and b"F_SETFD" not in line
    if b'"syscall":"ioctl"' in line:
        return b"TIOCGPT" not in line and b"FIOCLEX" not in line
    if b'"syscall":"send' in line:
        return not any(word in line for word in _SAID)
    if b'"syscall":"mmap"' in line:
        return b"PROT_EXEC" not in line or b'"MAP_ANON' in line or b"|MAP_ANON" in line
    if b'"syscall":"clone' in line:
        return b"CLONE_NEW" not in line
    return b'"syscall":"prctl"' in line and b"PR_SET_NAME" not in line


def _calls(recording: Recording, query: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
    for line in recording.call_lines(query):
        # A program that looks for a file in many places misses often, and no rule asks about that.
        if b'"errno":"ENOENT"' not in line and not _is_dull(line):
            call = json.loads(line)
            yield int(call["start_ns"]), 0, call
