# SPDX-License-Identifier: Apache-2.0
"""From facts to incidents to one verdict: candidates, symptoms folded into causes, then the one that answers "why"."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from observer.report.diagnosis.candidates import Candidate, find_candidates, wall_gap_s
from observer.report.diagnosis.chain import build_incident
from observer.report.diagnosis.facts import Boot
from observer.report.diagnosis.last import last_minute
from observer.report.diagnosis.outcome import ABSTAIN, Alternative, Diagnosis, Incident, stamp_of
from observer.report.diagnosis.rules import RuleBook
from observer.report.diagnosis.survey import Survey
from observer.report.sources import LogLine, Origin

__all__ = ["align", "diagnose", "fold_symptoms"]

DECIDES = 0.5
"""A candidate below this is an alternative, never a verdict."""
_FAR_S = 600.0
_FAR_COST = 50
"""More than parts any cause from a stop that nothing explains: what lies hours or days before it is another story."""
_MACHINE_RANK = 60


def diagnose(
    surveys: Sequence[Survey], book: RuleBook, *, integrity: Mapping[str, Any], boot: int | None = None
) -> Diagnosis:
    """Weigh the facts of all sources.

    Args:
        surveys: One per source, already read.
        book: The rules.
        integrity: What is known of the sources' integrity; passed through.
        boot: Which boot to judge, 0 the last, -1 the one before; None chooses the one that died.

    Returns:
        The diagnosis; `INSUFFICIENT_EVIDENCE` where nothing decides.
    """
    boots = align(surveys)
    judged = [(number, _judge(number, one, book)) for number, one in enumerate(boots, 1 - len(boots))]
    incidents = [incident for _, (found, _) in judged for incident in found]
    number = boot if boot is not None else _subject(judged)
    found, lost = dict(judged).get(number, ([], []))
    subject = dict(enumerate(boots, 1 - len(boots))).get(number)
    primary = _primary(found, subject)
    reports = sorted(
        (report for survey in surveys for report in survey.reports), key=lambda report: report.head.number
    )
    return Diagnosis(
        verdict=primary.verdict if primary else ABSTAIN,
        confidence=primary.confidence if primary else _doubt(lost),
        incidents=tuple(incidents),
        primary=primary,
        alternatives=_alternatives(primary, found, lost),
        missing=_missing(primary, boots),
        integrity=integrity,
        kernel_reports=tuple(reports),
        boots=tuple(_boot_dict(index, one) for index, one in enumerate(boots, 1 - len(boots))),
        last=last_minute(subject) if subject else (),
    )


def align(surveys: Sequence[Survey]) -> list[Boot]:
    """Lay the boots of several sources over each other, the last on the last; what names no boot joins the one that died."""
    rows = [[*([survey.before] if survey.before else []), *survey.boots] for survey in surveys]
    depth = max((len(row) for row in rows), default=1)
    merged = [Boot() for _ in range(depth)]
    for row in rows:
        shift = depth - len(row)
        if len(row) == 1 and depth > 1 and not row[0].id:
            shift = depth - 2
        for index, boot in enumerate(row):
            _merge(merged[index + shift], boot)
    return merged


def _merge(into: Boot, boot: Boot) -> None:
    into.facts.merge(boot.facts)
    into.id = into.id or boot.id
    into.lines += boot.lines
    into.first = into.first or boot.first
    into.last = _later(into.last, boot.last)
    into.ends |= boot.ends
    into.closed = into.closed or boot.closed
    into.tail = deque([*into.tail, *boot.tail])


def _later(one: LogLine | None, two: LogLine | None) -> LogLine | None:
    """The later of two lines by their wall clocks; the second where these do not tell."""
    if one is None or two is None or one.wall_us is None or two.wall_us is None:
        return two or one
    gap = wall_gap_s(one.wall_us, two.wall_us)
    return one if gap is not None and gap < 0 else two


def _judge(number: int, boot: Boot, book: RuleBook) -> tuple[list[Incident], list[Candidate]]:
    candidates = find_candidates(boot, book)
    strong = [one for one in candidates if one.confidence >= DECIDES]
    weak = [one for one in candidates if one.confidence < DECIDES]
    roots = fold_symptoms(strong)
    label = boot.id or f"{number:+d}" if number else boot.id or "0"
    incidents = [build_incident(root, boot, label, book, [*weak, *candidates]) for root in roots]
    return incidents, weak


def fold_symptoms(candidates: list[Candidate]) -> list[Candidate]:
    """Give each symptom to the cause that explains it; what nothing explains is a root."""
    ordered = sorted(candidates, key=lambda one: (one.facts[0].order, -one.rule.rank))
    for symptom in ordered:
        causes = [
            one
            for one in ordered
            if one is not symptom and one.owner is not symptom and one.explains(symptom)
        ]
        causes = [one for one in causes if not symptom.explains(one) or one.rule.rank > symptom.rule.rank]
        if causes:
            symptom.owner = max(causes, key=lambda one: (one.rule.rank, one.facts[0].order))
    for one in ordered:
        root = one.root()
        if root is not one:
            root.symptoms.append(one)
    return [one for one in ordered if one.owner is None]


def _primary(incidents: Sequence[Incident], boot: Boot | None) -> Incident | None:
    if not incidents or boot is None:
        return None
    return max(incidents, key=lambda one: (_weight(one, boot), one.chain[-1].evidence.sequence))


def _weight(incident: Incident, boot: Boot) -> float:
    """Rank of an incident; one that lies long before the end of its boot did not end it."""
    late = [step for step in incident.chain if step.role != "aftermath"] or list(incident.chain)
    end = _own_end(boot)
    left = _seconds_left(late[-1].evidence.time, stamp_of(end) if end else {})
    far = left is not None and left > _FAR_S
    return incident.rank + incident.confidence - (_FAR_COST if far else 0)


def _own_end(boot: Boot) -> LogLine | None:
    """The last line of the machine itself; of a boot that only its host speaks of, the host's."""
    own: LogLine | None = None
    for line in boot.ends.values():
        if line.origin is not Origin.HOST:
            own = _later(own, line)
    return own or boot.last


def _seconds_left(last: Mapping[str, Any], end: Mapping[str, Any]) -> float | None:
    """Seconds from one stamp to another on a clock that both have; None where they share none."""
    if "boot_s" in last and "boot_s" in end:
        return float(end["boot_s"]) - float(last["boot_s"])
    if "wall" in last and "wall" in end:
        begun, ended = (datetime.fromisoformat(one["wall"]).timestamp() * 1e6 for one in (last, end))
        return wall_gap_s(round(begun), round(ended))
    return None


def _subject(judged: Sequence[tuple[int, tuple[list[Incident], list[Candidate]]]]) -> int:
    """The boot that died: the last with a machine's end in it; where there is none, the last with any incident."""
    deadly = [
        number
        for number, (found, _) in judged
        if any(one.scope in ("machine", "host") and one.rank >= _MACHINE_RANK for one in found)
    ]
    if deadly:
        return deadly[-1]
    ended = [
        number for number, (found, _) in judged if any(one.scope in ("machine", "host") for one in found)
    ]
    others = [number for number, (found, _) in judged if found]
    if ended and others and any(one.rank > 30 and one.scope != "none" for one in dict(judged)[others[-1]][0]):
        return others[-1]
    return (ended or others or [0])[-1]


def _alternatives(
    primary: Incident | None, found: Sequence[Incident], lost: Sequence[Candidate]
) -> tuple[Alternative, ...]:
    if primary is None:
        return tuple(
            Alternative(one.rule.name, one.confidence, one.lost or "the evidence for it is too thin")
            for one in lost
        )
    others = [
        Alternative(
            one.verdict,
            one.confidence,
            "a separate incident of the same boot; it does not answer what ended it",
        )
        for one in found
        if one is not primary and one.verdict != primary.verdict
    ]
    return (*primary.alternatives, *others)


def _missing(primary: Incident | None, boots: Sequence[Boot]) -> tuple[str, ...]:
    if primary is not None:
        return primary.missing
    lines = sum(boot.lines for boot in boots)
    wanted = [
        "a record of the end: stop records of the service manager, a kernel panic, or the start of the next boot"
    ]
    if not any(boot.closed for boot in boots):
        wanted.append(
            "the log of the next boot, which would show whether the disks and the journal had been left open"
        )
    wanted.append(
        "the host's or hypervisor's log of the same minutes, which would show a power cut, a reset or a killed virtual machine"
    )
    if lines < 50:
        wanted.append(f"more of the log: it has {lines} lines")
    return tuple(wanted)


def _doubt(lost: Sequence[Candidate]) -> float:
    """Confidence of an abstention: that of the best candidate that fell short."""
    return round(max((one.confidence for one in lost), default=0.0), 2)


def _boot_dict(number: int, boot: Boot) -> dict[str, Any]:
    return {
        "number": number,
        "id": boot.id or None,
        "lines": boot.lines,
        "first": stamp_of(boot.first) if boot.first else {},
        "last": stamp_of(boot.last) if boot.last else {},
        "closed": boot.closed,
    }
