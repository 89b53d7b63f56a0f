# SPDX-License-Identifier: Apache-2.0
"""Builds the causal chain of an incident: context, cause, symptoms, end, in the order in which they stand in the log."""

from __future__ import annotations

from collections.abc import Sequence

from observer.report.diagnosis.candidates import Candidate
from observer.report.diagnosis.facts import Boot, Fact
from observer.report.diagnosis.outcome import Alternative, Incident, Step, evidence_of
from observer.report.diagnosis.rules import RuleBook

__all__ = ["build_incident"]

_MAX_STEPS = 24
_PER_SIGNAL = 2
"""Steps shown of one signal: where it began and where it ended; the count tells the rest."""
_ROLES = ("cause", "symptom", "end", "context", "aftermath")
"""Where one line means two things, the first of these is shown."""


def build_incident(
    root: Candidate, boot: Boot, label: str, book: RuleBook, considered: Sequence[Candidate]
) -> Incident:
    """Turn a root candidate with its folded symptoms into an incident."""
    facts: dict[tuple[str, int], tuple[Fact, str]] = {}
    for fact in root.supports:
        facts.setdefault((fact.signal, fact.order), (fact, "context" if fact.role == "cause" else fact.role))
    for fact in root.facts:
        facts[(fact.signal, fact.order)] = (fact, "cause" if fact.role == "context" else fact.role)
    for symptom in root.symptoms:
        for fact in symptom.facts:
            facts.setdefault((fact.signal, fact.order), (fact, "end" if fact.role == "end" else "symptom"))
    return Incident(
        verdict=root.rule.name,
        meaning=root.rule.meaning,
        confidence=root.confidence,
        scope=_scope(root),
        boot=label,
        chain=tuple(_steps(list(facts.values()), boot)),
        alternatives=tuple(_alternatives(root, considered, book)),
        missing=tuple(says for unless, says in root.rule.missing if not unless or not boot.facts.has(unless)),
        advice=root.rule.advice,
        rank=max([root.rule.rank, *(one.rule.rank for one in root.symptoms)]),
    )


def _scope(root: Candidate) -> str:
    """An incident whose symptom ended the machine ended the machine."""
    scopes = [root.rule.scope, *(one.rule.scope for one in root.symptoms)]
    return next((scope for scope in ("machine", "host") if scope in scopes), root.rule.scope)


def _steps(facts: list[tuple[Fact, str]], boot: Boot) -> list[Step]:
    facts.sort(key=lambda item: (_clock(item[0], facts), item[0].line.number, item[0].order))
    shown: list[tuple[Fact, str]] = []
    for index, (fact, role) in enumerate(facts):
        same = [at for at, (other, _) in enumerate(facts) if other.signal == fact.signal]
        if index in (same[0], same[-1]) or len(same) <= _PER_SIGNAL:
            shown.append((fact, role))
    unique: dict[tuple[str, int], Step] = {}
    for fact, role in shown[:_MAX_STEPS]:
        place = (fact.line.source, fact.line.number)
        if place not in unique or _ROLES.index(role) < _ROLES.index(unique[place].role):
            count = boot.facts.counts.get(fact.signal, 1)
            unique[place] = Step(fact.says, role, fact.signal, evidence_of(fact.line), count)
    return list(unique.values())


def _clock(fact: Fact, facts: list[tuple[Fact, str]]) -> int:
    """A sort key on one clock where all facts share it; else 0, and the order in the source decides."""
    if all(other.line.wall_us is not None for other, _ in facts):
        return fact.line.wall_us or 0
    if len({other.line.source for other, _ in facts}) == 1:
        return 0
    return fact.order


def _alternatives(root: Candidate, considered: Sequence[Candidate], book: RuleBook) -> list[Alternative]:
    found: dict[str, Alternative] = {}
    for symptom in root.symptoms:
        lost = f"it is a symptom: it follows {root.rule.name} and is explained by it"
        found.setdefault(symptom.rule.name, Alternative(symptom.rule.name, symptom.confidence, lost))
    for one in considered:
        if one.lost and one.rule.name != root.rule.name:
            found.setdefault(one.rule.name, Alternative(one.rule.name, one.confidence, one.lost))
    strong = {one.rule.name for one in considered if not one.lost}
    for name, lost in root.rule.rivals:
        if name not in strong and book.verdict(name) is not None:
            found.setdefault(name, Alternative(name, 0.0, lost))
    found.pop(root.rule.name, None)
    return list(found.values())
