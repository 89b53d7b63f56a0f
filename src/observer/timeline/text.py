# SPDX-License-Identifier: Apache-2.0
"""A merged report as plain text for a person under stress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from observer.report.render import quote, section
from observer.timeline.master import MasterReport
from observer.timeline.view import ReportView, text_of

__all__ = ["clock_sentence", "render_report", "tell_report"]

_ARROWS = {"cause": "*", "symptom": ">", "context": "-", "end": "x"}

_MARKS = {"critical": "!!", "error": "! ", "warning": "? ", "malformed": "##"}
_SHADES = " .:-=+*#%@"


def render_report(view: ReportView) -> str:
    """A merged report as plain text: verdict and integrity first, then the last 60 s, then the lanes."""
    return "\n".join(_report_lines(view)) + "\n"


def _report_lines(view: ReportView) -> Iterator[str]:
    head = view.head
    verdict = head.get("verdict") or {"verdict": "not weighed", "confidence": 0.0}
    yield f"VERDICT     {verdict['verdict']}   (confidence {verdict['confidence']:.2f})"
    main = next((one for one in verdict.get("incidents", ()) if one["verdict"] == verdict["verdict"]), None)
    if main:
        yield f"            {main['meaning']}"
    yield f"INTEGRITY   {head['integrity']['state']}: {quote(head['integrity']['note'], 400)}"
    yield f"CLOCKS      {quote(clock_sentence(head), 300)}"
    if main:
        yield from ["", "WHAT HAPPENED, IN ORDER   (* cause, > symptom, - context, x end)"]
        for step in main["chain"]:
            mark = _ARROWS.get(step["role"], " ")
            yield f"  {mark} {quote(step['says'])}   [{quote(step['source'])} #{step['sequence']} sha256 {step['sha256'][:12]}]"
        if main.get("advice"):
            yield f"  what now: {quote(main['advice'])}"
    yield from ["", f"THE LAST 60 SECONDS   ({len(view.last)} events shown, {view.omitted} before them not)"]
    yield from (f"  {_event_line(one)}" for one in view.last)
    yield from section("ERRORS BEFORE THAT, NEWEST LAST", (_event_line(one) for one in view.severe[-20:]))
    yield from ["", f"LANES   {view.first or '?'} to {view.final or '?'}"]
    for lane in view.lanes:
        most = max(lane.buckets) or 1
        bars = "".join(_SHADES[min(9, -(-9 * count // most))] for count in lane.buckets[::2])
        yield f"  {lane.origin:5} {quote(lane.source, 24):24} {lane.total:>9,} |{bars}|"
    yield from section(
        "CONSIDERED AND LOST",
        (f"{one['verdict']}: {quote(one['lost_because'])}" for one in verdict.get("alternatives", ())),
    )
    yield from section("WHAT IS MISSING", (quote(text) for text in verdict.get("missing", ())))


def clock_sentence(head: Mapping[str, Any]) -> str:
    """How the clocks of the two sides stand to each other, in one sentence."""
    clocks = head.get("clocks", {})
    if clocks.get("compared"):
        compared = f"the clocks were compared {clocks['exchanges']:,} times"
        return f"times are those of the {clocks['reference']}; {compared}, and each event has its error bar"
    return str(clocks.get("note") or f"times are those of the {clocks.get('reference', 'guest')}'s own clock")


def _event_line(element: Mapping[str, Any]) -> str:
    event = element.get("event") or {}
    time = str(element.get("corrected") or "no time")[11:23]
    bar = f"±{element['errorMs']:g} ms" if element.get("errorMs") is not None else "±?"
    mark = _MARKS.get(str(event.get("severity", "malformed")).lower(), "  ")
    text = quote(text_of(element))
    chain = str(element.get("chainHash") or "unsealed")[:8]
    source = quote(str(event.get("source", "")), 20)
    return f"{mark} {time} {bar:>10}  {element['origin']:5} {source:20} {text}  [{chain}]"


def tell_report(report: MasterReport, output: str | None) -> Iterator[str]:
    """What was made of what, in a few lines."""
    for side in report.sides:
        events = f"{side.survey.get('events', 0):>10,} events"
        yield f"{side.name:5}  {side.state:13}  {events}  {quote(str(side.path))}: {quote(side.note)}"
    counts = report.head["counts"]
    verdict = report.head["verdict"]
    named = f"{verdict['verdict']} ({verdict['confidence']:.2f}), " if verdict else ""
    place = f" in {quote(output)}" if output else ""
    rest = f"{counts['merged']:,} copies merged, {counts['malformed']:,} malformed"
    yield f"{named}{counts['events']:,} events{place}, {rest}"
