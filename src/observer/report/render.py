# SPDX-License-Identifier: Apache-2.0
"""A diagnosis as text for a person under stress: the answer and the integrity first, then what led to it, then the doubts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta

from observer.report.diagnosis import Diagnosis, Evidence, Incident, Step

__all__ = ["quote", "render_text", "section"]

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs"})
_RUNS = re.compile(r"([\x00-\x1f\x7f])\1{7,}")
_QUOTE_LIMIT = 160
_LAST_SHOWN = 30
"""Records of the last minute that fit a screen beside the answer; the page has all that were kept."""
_ARROWS = {"cause": "*", "symptom": ">", "context": "-", "end": "x"}


def quote(text: str, limit: int = _QUOTE_LIMIT) -> str:
    """Text of strangers, cut, with everything that could steer a terminal shown as an escape."""
    text = _RUNS.sub(lambda run: f"{run[1]}({len(run[0])} times)", text)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        _escaped(char) if char != " " and unicodedata.category(char) in _HIDDEN else char for char in cut
    )


def _escaped(char: str) -> str:
    number = ord(char)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def render_text(diagnosis: Diagnosis) -> str:
    """The whole diagnosis as plain text that ends in a line end."""
    return "\n".join(_lines(diagnosis)) + "\n"


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    yield f"VERDICT     {diagnosis.verdict}   (confidence {diagnosis.confidence:.2f})"
    primary = diagnosis.primary
    yield f"            {primary.meaning if primary else 'The evidence does not decide what happened.'}"
    yield f"INTEGRITY   {diagnosis.integrity['state']}: {diagnosis.integrity['note']}"
    if primary:
        yield ""
        yield "WHAT HAPPENED, IN ORDER   (* cause, > symptom, - context, x end)"
        yield from _chain(primary)
        if primary.advice:
            yield f"  what now: {primary.advice}"
    yield from _last(diagnosis)
    others = [incident for incident in diagnosis.incidents if incident is not primary]
    if others:
        yield ""
        yield "OTHER INCIDENTS IN THESE LOGS"
        for incident in others:
            yield f"  {incident.verdict} ({incident.confidence:.2f}), boot {incident.boot}: {quote(incident.chain[0].says)}"
    yield from section(
        "CONSIDERED AND LOST", (f"{one.verdict}: {quote(one.lost)}" for one in diagnosis.alternatives)
    )
    yield from section("WHAT IS MISSING", (quote(text) for text in diagnosis.missing))
    yield from section("KERNEL REPORTS", _reports(diagnosis))
    yield from section("SOURCES", _sources(diagnosis))


def _chain(incident: Incident) -> Iterator[str]:
    for step in incident.chain:
        yield f"  {_ARROWS.get(step.role, ' ')} {_time(step.evidence):>16}  {quote(step.says)}{_times(step)}"
        yield f"    {_cite(step.evidence)}  | {quote(step.evidence.text)}"


def _last(diagnosis: Diagnosis) -> Iterator[str]:
    shown = diagnosis.last[-_LAST_SHOWN:]
    more = f", the last {len(shown)} of {len(diagnosis.last)}" if len(shown) < len(diagnosis.last) else ""
    cited = (
        {(step.evidence.source, step.evidence.sequence) for step in diagnosis.primary.chain}
        if diagnosis.primary
        else set()
    )
    several = len({record.source for record in shown}) > 1
    yield from section(
        f"THE LAST 60 SECONDS{more}   (= cited above)",
        (
            f"{'=' if (one.source, one.sequence) in cited else ' '} {_time(one):>16}  "
            f"{quote(one.source, 40) + '  ' if several else ''}{quote(one.text)}"
            for one in shown
        ),
    )


def _times(step: Step) -> str:
    return f"  (seen {step.count} times)" if step.count > 1 else ""


def _cite(record: Evidence) -> str:
    return f"[{quote(record.source)} #{record.sequence} sha256 {record.sha256[:12]}]"


def _time(record: Evidence) -> str:
    if "wall" in record.time:
        return str(record.time["wall"])[5:19].replace("T", " ")
    if "boot_s" in record.time:
        return "+" + str(timedelta(seconds=float(record.time["boot_s"])))[:14]
    return "no time"


def section(title: str, lines: Iterator[str]) -> Iterator[str]:
    """A heading and its lines, indented; nothing where there are no lines."""
    body = [f"  {line}" for line in lines]
    if body:
        yield from ["", title, *body]


def _reports(diagnosis: Diagnosis) -> Iterator[str]:
    for report in diagnosis.kernel_reports[:20]:
        kind = report.type or "unclassified"
        yield f"{quote(report.title)}  [{kind}]  line {report.head.number}"
    if len(diagnosis.kernel_reports) > 20:
        yield f"and {len(diagnosis.kernel_reports) - 20} more; --json lists them"


def _sources(diagnosis: Diagnosis) -> Iterator[str]:
    for source in diagnosis.integrity["sources"]:
        digest = f"  sha256 {source['sha256']}" if "sha256" in source else ""
        yield f"{quote(str(source['path']))}  {source['lines']} records{digest}"
