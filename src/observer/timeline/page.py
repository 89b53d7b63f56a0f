# SPDX-License-Identifier: Apache-2.0
"""The report and the verdict as one offline page: answer and integrity first, then the last minute, then the lanes.

No script, no request, nothing fetched: a policy in the page itself forbids all of it. Every text of a log passes through
`_text`, which shows what could steer a reader's eye (controls, direction marks) and escapes the rest.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from observer.evidence.sides import BAD_STATES
from observer.report.render import quote
from observer.timeline.text import clock_sentence
from observer.timeline.view import BUCKETS, Lane, ReportView, severity_of, text_of

if TYPE_CHECKING:
    from observer.report.diagnosis import Diagnosis, Evidence

__all__ = ["render_page", "render_verdict_page"]

_TEXT_LIMIT = 2000
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{title}</title><style>
{style}</style></head><body>
<a class="skip" href="#what">To what happened</a>
"""

_FOOT = (
    "Times are UTC, corrected where clocks were compared; raw times are in the JSON. Text in grey boxes and in the column "
    "“text” was written by the machines and programs observed."
)


def render_page(view: ReportView) -> str:
    """A merged report as one page."""
    head = view.head
    verdict = head.get("verdict") or {"verdict": "NOT_WEIGHED", "confidence": 0.0}
    parts = [
        _begin(f"{verdict['verdict']} — merged report"),
        _answer(verdict, head["integrity"], clock_sentence(head)),
        "<main>",
        _navigation(["what", "minute", "lanes", "doubts", "sources"]),
        _incidents(verdict),
        _minute(view),
        _lanes(view),
        _doubts(verdict),
        _sides(head),
        "</main>",
        f"<footer>Made {_text(head['generatedAt'])} by Observer. {_FOOT}</footer></body></html>\n",
    ]
    return "\n".join(parts)


def render_verdict_page(diagnosis: Diagnosis) -> str:
    """A diagnosis as one page."""
    verdict = diagnosis.to_dict()
    parts = [
        _begin(f"{verdict['verdict']} — why it ended"),
        _answer(verdict, verdict["integrity"], ""),
        "<main>",
        _navigation(["what", "minute", "doubts", "reports", "sources"]),
        _incidents(verdict),
        _last_records(diagnosis),
        _doubts(verdict),
        _reports(verdict),
        _read(verdict["integrity"]),
        f"</main><footer>Made by Observer. {_FOOT}</footer></body></html>\n",
    ]
    return "\n".join(parts)


def _begin(title: str) -> str:
    style = resources.files("observer.timeline").joinpath("page.css").read_text("utf-8")
    return _HEAD.format(title=_text(title), style=style)


def _text(value: object, limit: int = _TEXT_LIMIT) -> str:
    return html.escape(quote(str(value), limit), quote=True)


def _answer(verdict: Mapping[str, Any], integrity: Mapping[str, Any], clocks: str) -> str:
    main = _main(verdict)
    state = str(integrity["state"])
    tone = (
        "bad"
        if state in BAD_STATES
        else "good"
        if state in ("VERIFIED", "DECLARED_LOSS", "VERIFIED_TO")
        else "warn"
    )
    meaning = main["meaning"] if main else "The evidence does not decide what happened."
    cards = [
        f'<div class="card {tone}"><span class="role">Integrity</span><b>{_text(state)}</b>{_text(integrity["note"])}</div>'
    ]
    if main and main.get("advice"):
        cards.append(
            f'<div class="card"><span class="role">What now</span><b>Next step</b>{_text(main["advice"])}</div>'
        )
    if clocks:
        cards.append(f'<div class="card"><span class="role">Clocks</span><b>Time</b>{_text(clocks)}</div>')
    confidence = f"confidence {float(verdict['confidence']):.2f}"
    return (
        f'<header class="top"><p class="role">Verdict, {confidence}</p>'
        f"<h1>{_text(verdict['verdict'])}</h1>"
        f'<p>{_text(meaning)}</p>{_ALARM if tone == "bad" else ""}<div class="facts">{"".join(cards)}</div></header>'
    )


_ALARM = '<p class="alarm">Take this answer with doubt: a log it rests on does not hold, so records may have been changed.</p>'
_NAMES = {
    "what": "What happened",
    "minute": "Last 60 seconds",
    "lanes": "Lanes",
    "doubts": "Doubts",
    "reports": "Kernel reports",
    "sources": "Sources",
}


def _navigation(parts: Iterable[str]) -> str:
    return (
        '<nav aria-label="Parts of this page">'
        + "".join(f'<a href="#{part}">{_NAMES[part]}</a>' for part in parts)
        + "</nav>"
    )


def _main(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in verdict.get("incidents", ()) if one["verdict"] == verdict["verdict"]), None)


def _incidents(verdict: Mapping[str, Any]) -> str:
    main = _main(verdict)
    others = [one for one in verdict.get("incidents", ()) if one is not main]
    parts = [f'<section id="what"><h2>{_NAMES["what"]}, in order</h2>']
    parts.append(_chain(main) if main else "<p>No incident stands on evidence enough.</p>")
    for one in others:
        summary = f"Another incident: {one['verdict']} ({float(one['confidence']):.2f}), boot {one['boot']}"
        parts.append(
            f"<details><summary>{_text(summary)}</summary><p>{_text(one['meaning'])}</p>{_chain(one)}</details>"
        )
    return "".join([*parts, "</section>"])


def _chain(incident: Mapping[str, Any]) -> str:
    cited = {(one["source"], one["sequence"]): one for one in incident["evidence"]}
    return f'<ol class="chain">{"".join(_steps(incident["chain"], cited))}</ol>'


def _steps(
    chain: Sequence[Mapping[str, Any]], cited: Mapping[tuple[str, int], Mapping[str, Any]]
) -> Iterator[str]:
    for step in chain:
        record = cited.get((step["source"], step["sequence"]), {})
        role = (
            str(step["role"])
            if step["role"] in ("cause", "symptom", "context", "end", "aftermath")
            else "context"
        )
        time = record.get("time", {})
        when = moment_of(time)
        count = f", seen {step['count']} times" if step["count"] > 1 else ""
        yield (
            f'<li class="{role}"><span class="role">{role}</span>{_text(step["says"])}<span class="soft">{_text(count)}</span>'
            f'<blockquote class="mono">{_text(record.get("text", ""), 600)}</blockquote><span class="soft mono">{_text(when)} · '
            f"{_text(step['source'])} #{_text(step['sequence'])} · sha256 {_text(step['sha256'])}</span></li>"
        )


def _minute(view: ReportView) -> str:
    omitted = f" {view.omitted:,} earlier ones of this minute are only in the JSON." if view.omitted else ""
    parts = [
        f'<section id="minute"><h2>{_NAMES["minute"]}</h2><p class="soft">{len(view.last):,} events, newest first.{omitted}</p>'
    ]
    parts.append(_table(view.last[::-1], "The last 60 seconds, newest first"))
    if view.severe:
        parts.append(
            f"<details><summary>{len(view.severe):,} errors before that</summary>"
            f"{_table(view.severe[::-1], 'Earlier errors, newest first')}</details>"
        )
    return "".join([*parts, "</section>"])


def _table(events: Sequence[Mapping[str, Any]], label: str) -> str:
    columns = ("time", "error", "side", "severity", "source", "text", "chain")
    rows = "".join(map(_row, events)) or "<tr><td>nothing</td></tr>"
    return _scrolled(label, columns, rows, tall=True, kind="events")


def _scrolled(
    label: str, columns: Iterable[str], rows: str, *, tall: bool = False, kind: str = "plain"
) -> str:
    """A table in a region of its own, which the keyboard reaches and scrolls."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in columns)
    return (
        f'<div class="scroll{" tall" if tall else ""}" tabindex="0" role="region" aria-label="{_text(label)}">'
        f'<table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(element: Mapping[str, Any]) -> str:
    event = element.get("event") or {}
    severity = severity_of(dict(element))
    known = severity if severity in ("critical", "error", "warning", "malformed") else "info"
    origin = "host" if element["origin"] == "host" else "guest"
    error = element.get("errorMs")
    bar = "±?" if error is None else f"±{error:g} ms"
    relayed = " (relayed)" if "relayedBy" in element else ""
    return (
        f'<tr class="{origin} sev-{known}"><td class="time mono">{_text(str(element.get("corrected") or "no time")[11:23])}</td>'
        f'<td class="bar">{_text(bar)}</td><td>{origin}{relayed}</td><td class="sev">{_text(severity)}</td>'
        f"<td>{_text(event.get('source', ''), 60)}</td>"
        f'<td class="text">{_text(text_of(element))}</td>'
        f'<td class="id mono">{_text(str(element.get("chainHash") or "none")[:12])}</td></tr>'
    )


_WORST = ("", "warning", "error", "critical")
_LEGEND = "".join(
    f'<span class="key k{rank}">{name}</span>' for rank, name in enumerate(("info", *_WORST[1:]))
)


def _lanes(view: ReportView) -> str:
    span = (
        f"{view.first:%Y-%m-%d %H:%M:%S} to {view.final:%Y-%m-%d %H:%M:%S} UTC"
        if view.first and view.final
        else "no times"
    )
    rows = "".join(map(_lane, view.lanes))
    more = (
        f"<p class='soft'>{view.other_lanes:,} events of further sources are not drawn.</p>"
        if view.other_lanes
        else ""
    )
    ends = (
        f'<div class="ends"><span>{view.first:%H:%M:%S}</span><span>{view.final:%H:%M:%S}</span></div>'
        if view.first and view.final
        else ""
    )
    told = (
        "A bar is as high as its share of the busiest moment of its source, and shows the worst event in it:"
    )
    heading = f'<h2>{_NAMES["lanes"]}</h2><p class="soft">{_text(span)}. {told} {_LEGEND}</p>'
    return f'<section id="lanes">{heading}<div class="lanes">{rows}{ends}</div>{more}</section>'


def _lane(lane: Lane) -> str:
    most = max(lane.buckets) or 1
    bars = "".join(
        f'<rect class="r{worst}" x="{at}" width=".86" y="{10 - height:.2f}" height="{height:.2f}"/>'
        for at, (count, worst) in enumerate(zip(lane.buckets, lane.worst, strict=True))
        if count and (height := max(1.2, 10 * count / most))
    )
    worst = _WORST[max(lane.worst)]
    label = f"{lane.origin} {lane.source}: {lane.total} events{', worst ' + worst if worst else ''}"
    return (
        f'<div class="lane"><span>{_text(lane.origin)}</span><span>{_text(lane.source, 60)}</span>'
        f'<span class="n">{lane.total:,}</span><span class="w">{worst}</span>'
        f'<svg viewBox="0 0 {BUCKETS} 10" preserveAspectRatio="none" role="img" aria-label="{_text(label)}">{bars}</svg></div>'
    )


def _doubts(verdict: Mapping[str, Any]) -> str:
    lost = "".join(
        f"<li><b>{_text(one['verdict'])}</b>: {_text(one['lost_because'])}</li>"
        for one in verdict.get("alternatives", ())
    )
    gone = "".join(f"<li>{_text(one)}</li>" for one in verdict.get("missing", ()))
    return (
        f'<section id="doubts"><h2>Considered and lost</h2><ul>{lost or "<li>nothing</li>"}</ul>'
        f"<h2>What is missing</h2><ul>{gone or '<li>nothing</li>'}</ul></section>"
    )


def _reports(verdict: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_text(one['title'])}</td><td>{_text(one['type'] or 'unclassified')}</td>"
        f"<td class='mono'>{_text(one['source'])} #{_text(one['sequence'])}</td></tr>"
        for one in verdict.get("kernel_reports", ())[:200]
    )
    shown = _scrolled("Kernel reports", ("title", "type", "where"), rows) if rows else "<p>none</p>"
    return f'<section id="reports"><h2>{_NAMES["reports"]}</h2>{shown}</section>'


def _finding(one: Mapping[str, Any]) -> str:
    place = f"{_text(one.get('file', ''))} {_text(one.get('line', ''))}"
    return f"<li>{_text(one.get('verdict'))}: {_text(one.get('cause'))} {place}</li>"


def _sides(head: Mapping[str, Any]) -> str:
    cards = []
    for name in ("host", "guest"):
        side = head[name]
        state = str(side["integrity"]["state"])
        tone = "bad" if state in BAD_STATES else "good" if state.startswith("VERIFIED") else "warn"
        findings = "".join(map(_finding, side["integrity"]["findings"][:20]))
        cards.append(
            f'<div class="card {tone}"><span class="role">{name}</span><b>{_text(state)}</b>{_text(side["integrity"]["note"])}'
            f"<p class='mono'>{_text(side['logPath'])}</p><p>{side['eventCount']:,} events in {len(side['files'])} files, "
            f"{side['malformed']:,} malformed, {side['declaredLost']:,} declared lost</p>"
            f"<p class='mono'>{_text(side['finalChainHash'] or 'no chain')}</p>{f'<ul>{findings}</ul>' if findings else ''}</div>"
        )
    return f'<section id="sources"><h2>{_NAMES["sources"]}</h2><div class="facts">{"".join(cards)}</div></section>'


def _read(integrity: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td class='mono'>{_text(one['path'])}</td><td>{_text(one['lines'])}</td>"
        f"<td class='mono'>{_text(one.get('sha256') or one.get('integrity', {}).get('state', ''))}</td></tr>"
        for one in integrity.get("sources", ())
    )
    table = _scrolled("Sources", ("file", "records", "sha256 or state"), rows)
    return f'<section id="sources"><h2>{_NAMES["sources"]}</h2>{table}</section>'


def _last_records(diagnosis: Diagnosis) -> str:
    cited = (
        {(step.evidence.source, step.evidence.sequence) for step in diagnosis.primary.chain}
        if diagnosis.primary
        else set()
    )
    rows = "".join(
        _record(one, cited=(one.source, one.sequence) in cited) for one in reversed(diagnosis.last)
    )
    label = f"The last {len(diagnosis.last)} records of the last 60 seconds, newest first"
    table = _scrolled(label, ("time", "who", "text", "where"), rows, tall=True, kind="events records")
    shown = table if rows else "<p>none</p>"
    told = f'<p class="soft">{label}; those of the chain are marked.</p>'
    return f'<section id="minute"><h2>{_NAMES["minute"]}</h2>{told}{shown}</section>'


def _record(one: Evidence, *, cited: bool) -> str:
    mark = ' class="cited"' if cited else ""
    return (
        f'<tr{mark}><td class="time mono">{_text(moment_of(one.time))}</td><td>{_text(one.origin)}</td>'
        f'<td class="text">{"<b>cited</b> " if cited else ""}{_text(one.text, 600)}</td>'
        f'<td class="id mono">{_text(one.source, 60)} #{one.sequence}</td></tr>'
    )


def moment_of(time: Mapping[str, Any]) -> str:
    """A record's time in words: by the wall clock, else since the start of the machine."""
    return str(time.get("wall") or (f"{time['boot_s']} s after boot" if "boot_s" in time else "no time"))
