# SPDX-License-Identifier: Apache-2.0
"""Answers "why did it die": reads raw logs, weighs the rules, returns one diagnosis.

Typical use:

    diagnosis = explain([SourceSpec(SourceKind.KMSG, Path("dmesg.txt"))])
    print(diagnosis.verdict, diagnosis.confidence)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer.errors import UsageError
from observer.evidence.sides import BAD_STATES, judge_log
from observer.report.diagnosis import Diagnosis, RuleBook, diagnose, load_rules
from observer.report.diagnosis.matcher import Matcher
from observer.report.diagnosis.rules import parse_rules, read_rule_files
from observer.report.diagnosis.survey import Survey
from observer.report.sources import LogLine, SourceKind, read_source
from observer.report.sources.raw import open_bytes
from observer.report.sources.sealed import MOST_BYTES, looks_like_event_log

__all__ = ["SourceSpec", "explain", "explain_lines", "own_logs", "with_rule_files"]

_PIECE_BYTES = 1 << 20
_TOLD_EVERY = 2_000
GUEST_LOG = "/var/log/wsl-monitor/guest-events.log"
"""Where the agent of this machine seals what it sees."""
_JOURNALS = ("/var/log/journal", "/run/log/journal")
"""Where journald keeps its files: kept over boots, or lost with each."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One log to read: what it is said to be, and where it is (`-` for standard input)."""

    kind: SourceKind
    path: Path | str


def explain(
    sources: Sequence[SourceSpec],
    *,
    book: RuleBook | None = None,
    boot: int | None = None,
    key: bytes | None = None,
    progress: Callable[[str, int], None] = lambda _stage, _lines: None,
) -> Diagnosis:
    """Read every source once, in bounded memory, and say what happened.

    Args:
        sources: The logs; guest and host logs may be mixed.
        book: Rules; those that ship with Observer when None.
        boot: Which boot to judge: 0 the last in the logs, -1 the one before; None chooses the one that died.
        key: HMAC-SHA256 key for sealed logs; None checks their hash chains only.
        progress: Called now and then with what is being read and how many lines of it were.

    Returns:
        The diagnosis. Deterministic: the same bytes and rules give the same answer.

    Raises:
        UsageError: No source, or one that may not be read.
        NotFoundError, FormatError, CapabilityError: As the readers say.

    Source: docs/spec/verdicts.md.
    """
    if not sources:
        raise UsageError(
            "no log was given",
            hint="give --kmsg, --dmesg, --journal, --syslog, --evtx FILE, or - for standard input",
        )
    book = book or load_rules()
    matcher = Matcher(book)
    surveys = [
        Survey(book, matcher).read(
            _counted(read_source(spec.kind, spec.path), f"reading {spec.path}", progress)
        )
        for spec in sources
    ]
    facts = [_source_facts(spec, survey, key) for spec, survey in zip(sources, surveys, strict=True)]
    return diagnose(surveys, book, integrity=_integrity(facts), boot=boot)


def explain_lines(lines: Iterable[LogLine], *, book: RuleBook | None = None) -> Diagnosis:
    """The same for lines that are already at hand."""
    book = book or load_rules()
    survey = Survey(book, Matcher(book)).read(lines)
    return diagnose([survey], book, integrity=_integrity([]))


def _counted(lines: Iterable[LogLine], stage: str, progress: Callable[[str, int], None]) -> Iterator[LogLine]:
    for done, line in enumerate(lines, 1):
        if done % _TOLD_EVERY == 0:
            progress(stage, done)
        yield line


def own_logs() -> list[SourceSpec]:
    """The agent's log of this machine, where there is one, and its journal: each has what the other lacks.

    Raises:
        UsageError: It keeps neither.
    """
    found = [SourceSpec(SourceKind.LOG, GUEST_LOG)] if os.access(GUEST_LOG, os.R_OK) else []
    journals = [
        SourceSpec(SourceKind.JOURNAL, place) for place in _JOURNALS if any(Path(place).glob("*/*.journal"))
    ]
    if found or journals:
        return [*found, *journals[:1]]
    raise UsageError(
        "no log was given and this machine keeps no journal",
        hint="give --kmsg, --dmesg, --journal, --syslog, --evtx FILE, or - for standard input",
    )


def with_rule_files(paths: Sequence[Path]) -> RuleBook:
    """The rules that ship with Observer and those of further files.

    Raises:
        UsageError: A file is wrong; says which and why.
    """
    from importlib import resources

    folder = resources.files("observer.report.diagnosis").joinpath("rules")
    own = [
        (entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".toml")
    ]
    return parse_rules([*sorted(own), *read_rule_files(paths)])


def _integrity(sources: list[dict[str, Any]]) -> dict[str, Any]:
    sealed = [source for source in sources if "integrity" in source]
    raw = "raw logs carry no proof that they are whole; the digests pin what was read"
    if not sealed:
        return {"state": "UNSEALED", "note": raw, "sources": sources}
    bad = [source for source in sealed if source["integrity"]["state"] in BAD_STATES]
    if bad:
        state = bad[0]["integrity"]["state"]
        note = f"the verdict rests on records that may have been changed: {bad[0]['integrity']['note']}"
        return {"state": state, "note": note, "sources": sources}
    note = "; ".join(source["integrity"]["note"] for source in sealed)
    if len(sealed) < len(sources):
        return {"state": "PARTLY_SEALED", "note": f"{note}; of the others: {raw}", "sources": sources}
    states = [source["integrity"]["state"] for source in sealed]
    return {
        "state": next((one for one in states if one != "VERIFIED"), "VERIFIED"),
        "note": note,
        "sources": sources,
    }


def _source_facts(spec: SourceSpec, survey: Survey, key: bytes | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": spec.kind.value, "path": str(spec.path), "lines": survey.lines}
    if spec.kind is SourceKind.LOG or (spec.kind is SourceKind.PLAIN and _is_event_log(spec.path)):
        judged = judge_log(Path(spec.path), key)
        unread = max(0, judged.pop("bytes") - MOST_BYTES)
        return facts | ({"unread_bytes": unread} if unread else {}) | {"integrity": judged}
    path = Path(spec.path)
    if str(spec.path) != "-" and path.is_file():
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(path):
            digest.update(piece)
            size += len(piece)
        facts |= {"bytes": size, "sha256": digest.hexdigest()}
    return facts


def _is_event_log(path: Path | str) -> bool:
    if str(path) == "-" or not Path(path).is_file():
        return False
    with open_bytes(path) as stream:
        return looks_like_event_log(stream.read(4096))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
